package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// How long certificates are valid.
const (
	// CAValidity is the life of the authority: a year, so that a development
	// set-up left alone does not stay trusted for ever.
	CAValidity = 365 * 24 * time.Hour
	// LeafValidity is the life of a server's or client's certificate.
	LeafValidity = 90 * 24 * time.Hour
	// backdate makes a new certificate valid for peers whose clock is behind.
	backdate = 5 * time.Minute
)

const (
	caName     = "ca"
	certSuffix = ".crt"
	keySuffix  = ".key"
	certBlock  = "CERTIFICATE"
	keyBlock   = "PRIVATE KEY"
	maxFile    = 64 << 10
)

// A CA is a certificate authority in a directory. It is safe for concurrent
// use.
type CA struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// Create makes an authority: ca.crt and ca.key in dir, which is made with mode
// 0700 when missing. It never replaces a file: ErrExists.
func Create(dir string) (*CA, error) { return create(dir, time.Now) }

func create(dir string, now func() time.Time) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the certificate authority: %w", err)
	}
	serial := newSerial()
	start := now()
	template := &x509.Certificate{
		SerialNumber: serial,
		// The serial number keeps the names of two authorities apart; verifiers
		// pick the issuer by its name.
		Subject:               pkix.Name{CommonName: "Cloakroom development CA " + serial.Text(36)[:8]},
		NotBefore:             start.Add(-backdate),
		NotAfter:              start.Add(CAValidity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // signs servers and clients, no other authority
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate authority: %w", err)
	}
	ca := &CA{dir: dir, cert: cert, key: key, now: now}
	if err := ca.save(); err != nil {
		return nil, err
	}
	return ca, nil
}

// save writes the authority where nothing is yet. When the certificate cannot
// be written, the key goes again, so that Create can be repeated.
func (ca *CA) save() error {
	keyPEM, err := encodeKey(ca.key)
	if err != nil {
		return err
	}
	defer clear(keyPEM)
	keyPath, certPath := ca.path(caName+keySuffix), ca.path(caName+certSuffix)
	if _, err := os.Lstat(certPath); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, certPath)
	}
	if err := place(keyPath, keyPEM, 0o600, os.Link); err != nil {
		return creating(keyPath, err)
	}
	if err := place(certPath, encodeCert(ca.cert.Raw), 0o644, os.Link); err != nil {
		return errors.Join(creating(certPath, err), os.Remove(keyPath))
	}
	return nil
}

func creating(path string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, path)
	}
	return fmt.Errorf("writing the certificate authority: %w", err)
}

// Open reads the authority that Create wrote. ErrNotFound when there is none,
// ErrDenied when ca.key has another mode than 0600 or 0400, ErrDamaged when
// the files do not belong together. Its time is checked when it signs.
func Open(dir string) (*CA, error) { return open(dir, time.Now) }

func open(dir string, now func() time.Time) (*CA, error) {
	certPath, keyPath := filepath.Join(dir, caName+certSuffix), filepath.Join(dir, caName+keySuffix)
	certPEM, err := read(certPath, false)
	if err != nil {
		return nil, err
	}
	keyPEM, err := read(keyPath, true)
	defer clear(keyPEM)
	if err != nil {
		return nil, err
	}
	cert, err := decodeCert(certPEM)
	if err != nil || !cert.IsCA {
		return nil, fmt.Errorf("%w: %s holds no certificate of an authority", ErrDamaged, certPath)
	}
	key, err := decodeKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: %s holds no ECDSA key", ErrDamaged, keyPath)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%w: %s is not the key of %s", ErrDamaged, keyPath, certPath)
	}
	return &CA{dir: dir, cert: cert, key: key, now: now}, nil
}

// read returns a file of the authority; the mode of a secret one is checked on
// the opened file, so that it cannot be exchanged in between.
func read(path string, secret bool) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s does not exist", ErrNotFound, path)
	case err != nil:
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	if mode := info.Mode(); secret && mode != 0o600 && mode != 0o400 {
		return nil, fmt.Errorf("%w: %s has mode %04o, must have 0600 or 0400", ErrDenied, path, mode.Perm())
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w", err)
	}
	return content, nil
}

// Dir returns the directory of the authority.
func (ca *CA) Dir() string { return ca.dir }

// CertFile returns the path of the authority's certificate, which peers trust.
func (ca *CA) CertFile() string { return ca.path(caName + certSuffix) }

func (ca *CA) path(base string) string { return filepath.Join(ca.dir, base) }

// newSerial returns a positive random number of at most 127 bits, as RFC 5280
// asks for, with the top bit set so that its text has a steady length.
func newSerial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

func decodeCert(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != certBlock {
		return nil, ErrDamaged
	}
	return x509.ParseCertificate(block.Bytes)
}

// decodeKey gives no cause: the texts of the parsers may speak of the bytes.
func decodeKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyBlock {
		return nil, ErrDamaged
	}
	defer clear(block.Bytes)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, ErrDamaged
	}
	return key, nil
}
