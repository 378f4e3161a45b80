package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

var (
	fileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	hostName = regexp.MustCompile(`^(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$`)
)

// IssueServer makes a key and a server certificate, <name>.key and <name>.crt,
// for hosts: at least one, each an IP address or a lower-case DNS name. Files
// of the same name are replaced, key first; who reads between the two finds a
// pair that does not match, and must try again. ErrName, ErrExpired.
func (ca *CA) IssueServer(name string, hosts []string) error {
	if len(hosts) == 0 {
		return fmt.Errorf("%w: a server certificate wants at least one host", ErrName)
	}
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for i, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		if len(host) > 253 || !hostName.MatchString(host) {
			return fmt.Errorf("%w: host %d is neither an IP address nor a lower-case DNS name", ErrName, i)
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	return ca.issue(name, template)
}

// IssueClient makes a key and a client certificate, <name>.key and <name>.crt,
// whose one name is spiffeID (spiffe://trust.domain/path). Files of the same
// name are replaced like those of IssueServer. ErrName, ErrExpired.
func (ca *CA) IssueClient(name, spiffeID string) error {
	id, err := url.Parse(spiffeID)
	if err != nil || id.Scheme != "spiffe" {
		return fmt.Errorf("%w: the id of a client is a SPIFFE ID", ErrName)
	}
	// What the policy cannot name would be a certificate that opens nothing.
	if err := policy.CheckPrincipalID(spiffeID); err != nil {
		return fmt.Errorf("%w: %w", ErrName, err)
	}
	return ca.issue(name, &x509.Certificate{
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{id},
	})
}

// issue completes the template, signs it for a fresh key and writes both.
func (ca *CA) issue(name string, template *x509.Certificate) error {
	if name == caName || !fileName.MatchString(name) {
		return fmt.Errorf("%w: a certificate is named by 1 to 64 letters, digits, '_', '-' or '.', and not %q", ErrName, caName)
	}
	now := ca.now()
	if now.Before(ca.cert.NotBefore) || !now.Before(ca.cert.NotAfter) {
		return fmt.Errorf("%w: it is valid from %s to %s", ErrExpired,
			ca.cert.NotBefore.Format("2006-01-02"), ca.cert.NotAfter.Format("2006-01-02"))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	template.SerialNumber = newSerial()
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore = now.Add(-backdate)
	template.NotAfter = now.Add(LeafValidity)
	if template.NotAfter.After(ca.cert.NotAfter) {
		template.NotAfter = ca.cert.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("signing certificate %s: %w", name, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	defer clear(keyPEM)
	if err := place(ca.path(name+keySuffix), keyPEM, 0o600, os.Rename); err != nil {
		return fmt.Errorf("writing the key of certificate %s: %w", name, err)
	}
	if err := place(ca.path(name+certSuffix), encodeCert(der), 0o644, os.Rename); err != nil {
		return fmt.Errorf("writing certificate %s: %w", name, err)
	}
	return nil
}
