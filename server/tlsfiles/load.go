package tlsfiles

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// material is what the three files hold.
type material struct {
	pair    tls.Certificate
	clients *x509.CertPool
}

// Check reads the files as Open does and returns everything wrong with them
// at the given time, in the order of the roles.
func Check(certFile, keyFile, clientCAFile string, now time.Time) []*FileError {
	_, faults := paths{certFile, keyFile, clientCAFile}.load(now)
	return faults
}

// load reads and checks everything; material is nil when there is a fault.
func (p paths) load(now time.Time) (*material, []*FileError) {
	var faults []*FileError
	chain, fault := p.chain(now)
	if fault != nil {
		faults = append(faults, fault)
	}
	key, fault := p.key()
	if fault != nil {
		faults = append(faults, fault)
	}
	if len(chain) > 0 && key != nil && !belongs(key, chain[0]) {
		faults = append(faults, p.fault(Key, ErrMismatch))
	}
	clients, fault := p.clients(now)
	if fault != nil {
		faults = append(faults, fault)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	pair := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, cert := range chain {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	return &material{pair, clients}, nil
}

// chain reads the server's certificate and what follows it. The certificates
// are returned beside a fault when they could be read, for the key's check.
func (p paths) chain(now time.Time) ([]*x509.Certificate, *FileError) {
	chain, fault := p.certificates(Certificate)
	if fault != nil {
		return nil, fault
	}
	leaf := chain[0]
	switch {
	case leaf.IsCA:
		return chain, p.fault(Certificate, fmt.Errorf("%w: the first certificate is an authority's", ErrUsage))
	case !serves(leaf):
		return chain, p.fault(Certificate, fmt.Errorf("%w: not for TLS servers", ErrUsage))
	case len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return chain, p.fault(Certificate, fmt.Errorf("%w: it names no DNS name and no IP address", ErrUsage))
	}
	if err := inTime(leaf, now); err != nil {
		return chain, p.fault(Certificate, err)
	}
	return chain, nil
}

// clients reads the authorities of clients.
func (p paths) clients(now time.Time) (*x509.CertPool, *FileError) {
	authorities, fault := p.certificates(ClientCA)
	if fault != nil {
		return nil, fault
	}
	pool := x509.NewCertPool()
	var expired error
	valid := false
	for i, cert := range authorities {
		if !cert.IsCA || !cert.BasicConstraintsValid {
			return nil, p.fault(ClientCA, fmt.Errorf("%w: certificate %d is not an authority's", ErrUsage, i+1))
		}
		// An expired one does no harm beside its successor: handshakes refuse it.
		if err := inTime(cert, now); err != nil {
			expired = err
		} else {
			valid = true
		}
		pool.AddCert(cert)
	}
	if !valid {
		return nil, p.fault(ClientCA, expired)
	}
	return pool, nil
}

// certificates reads a file in which every block is a certificate; at least one.
func (p paths) certificates(r Role) ([]*x509.Certificate, *FileError) {
	text, fault := p.read(r)
	if fault != nil {
		return nil, fault
	}
	defer clear(text) // somebody may have put a key into it
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			clear(block.Bytes)
			return nil, p.fault(r, fmt.Errorf("%w: block %d is not a certificate", ErrFormat, len(all)+1))
		}
		all, text = append(all, cert), rest
	}
	switch {
	case bytes.Contains(text, []byte("-----BEGIN")):
		return nil, p.fault(r, fmt.Errorf("%w: block %d is not whole", ErrFormat, len(all)+1))
	case len(all) == 0:
		return nil, p.fault(r, fmt.Errorf("%w: no certificate in PEM", ErrFormat))
	}
	return all, nil
}

// key reads the private key. No cause is given: the texts of the parsers may
// speak of the bytes.
func (p paths) key() (crypto.Signer, *FileError) {
	text, fault := p.read(Key)
	if fault != nil {
		return nil, fault
	}
	defer clear(text)
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, p.fault(Key, fmt.Errorf("%w: no unencrypted private key in PEM", ErrFormat))
		}
		key := parseKey(block)
		clear(block.Bytes)
		if key != nil {
			return key, nil
		}
	}
}

// parseKey returns nil for a block that is no private key.
func parseKey(block *pem.Block) crypto.Signer {
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, _ = x509.ParsePKCS8PrivateKey(block.Bytes) // nil on an error
	case "EC PRIVATE KEY":
		if k, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			key = k
		}
	case "RSA PRIVATE KEY":
		if k, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			key = k
		}
	}
	signer, _ := key.(crypto.Signer)
	return signer
}

// belongs reports whether the key is the certificate's.
func belongs(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// serves reports whether a certificate may be used by a TLS server; one that
// names no use may be used for all.
func serves(cert *x509.Certificate) bool {
	uses := cert.ExtKeyUsage
	return len(uses) == 0 && len(cert.UnknownExtKeyUsage) == 0 ||
		slices.Contains(uses, x509.ExtKeyUsageServerAuth) || slices.Contains(uses, x509.ExtKeyUsageAny)
}

func inTime(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%w: valid from %s", ErrTime, cert.NotBefore.Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fmt.Errorf("%w: expired at %s", ErrTime, cert.NotAfter.Format(time.RFC3339))
	}
	return nil
}
