package fakeserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"testing"
	"time"
)

// Authority is a certificate authority for one test.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a key of its own.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := template(tb, "test authority")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &Authority{certificate: certificate, key: key}
}

// WriteCA writes the authority's certificate as PEM.
func (a *Authority) WriteCA(tb testing.TB, file string) {
	tb.Helper()
	write(tb, file, "CERTIFICATE", a.certificate.Raw)
}

// WriteClient writes a new certificate for a client of that common name, and
// its key.
func (a *Authority) WriteClient(tb testing.TB, name, cert, key string) {
	tb.Helper()
	pair := a.issue(tb, name, x509.ExtKeyUsageClientAuth)
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	write(tb, cert, "CERTIFICATE", pair.Certificate[0])
	write(tb, key, "PRIVATE KEY", der)
}

// TLSConfig returns a config of a client of that common name.
func (a *Authority) TLSConfig(tb testing.TB, name string) *tls.Config {
	tb.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	return &tls.Config{
		RootCAs:      roots,
		Certificates: []tls.Certificate{a.issue(tb, name, x509.ExtKeyUsageClientAuth)},
	}
}

func (a *Authority) issue(tb testing.TB, name string, usage x509.ExtKeyUsage) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := template(tb, name)
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	template.DNSNames = []string{name}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func template(tb testing.TB, name string) *x509.Certificate {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		tb.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func write(tb testing.TB, file, kind string, der []byte) {
	tb.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
}
