package tlsfiles_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/tlsfiles"
)

func TestOpenRefuses(t *testing.T) {
	chmod := func(mode fs.FileMode) func(*testing.T, *place) {
		return func(t *testing.T, p *place) {
			if err := os.Chmod(p.key, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		spoil func(t *testing.T, p *place)
		role  tlsfiles.Role
		want  error
		says  string // which of the rules behind want; empty where there is one
	}{
		"no certificate file":        {func(t *testing.T, p *place) { remove(t, p.cert) }, tlsfiles.Certificate, tlsfiles.ErrMissing, ""},
		"no key file":                {func(t *testing.T, p *place) { remove(t, p.key) }, tlsfiles.Key, tlsfiles.ErrMissing, ""},
		"no authorities' file":       {func(t *testing.T, p *place) { remove(t, p.cas) }, tlsfiles.ClientCA, tlsfiles.ErrMissing, ""},
		"key readable by the group":  {chmod(0o640), tlsfiles.Key, tlsfiles.ErrMode, ""},
		"key readable by all":        {chmod(0o604), tlsfiles.Key, tlsfiles.ErrMode, ""},
		"key may be executed":        {chmod(0o700), tlsfiles.Key, tlsfiles.ErrMode, ""},
		"key of another certificate": {func(t *testing.T, p *place) { copyFile(t, p.path("shop.key"), p.key) }, tlsfiles.Key, tlsfiles.ErrMismatch, ""},
		"key is a certificate":       {func(t *testing.T, p *place) { copyFile(t, p.cert, p.key) }, tlsfiles.Key, tlsfiles.ErrFormat, ""},
		"key is empty":               {func(t *testing.T, p *place) { write(t, p.key, nil, 0o600) }, tlsfiles.Key, tlsfiles.ErrFormat, ""},
		"key is a directory": {func(t *testing.T, p *place) {
			remove(t, p.key)
			if err := os.Mkdir(p.key, 0o600); err != nil {
				t.Fatal(err)
			}
		}, tlsfiles.Key, tlsfiles.ErrUnreadable, ""},
		"key is a pipe that nobody writes": {func(t *testing.T, p *place) {
			remove(t, p.key)
			if err := syscall.Mkfifo(p.key, 0o600); err != nil {
				t.Fatal(err)
			}
		}, tlsfiles.Key, tlsfiles.ErrUnreadable, ""},
		"certificate is the key":         {func(t *testing.T, p *place) { copyFile(t, p.key, p.cert) }, tlsfiles.Certificate, tlsfiles.ErrFormat, ""},
		"certificate is an authority":    {func(t *testing.T, p *place) { copyFile(t, p.path("ca.crt"), p.cert) }, tlsfiles.Certificate, tlsfiles.ErrUsage, "an authority's"},
		"certificate is a client's":      {func(t *testing.T, p *place) { copyFile(t, p.path("shop.crt"), p.cert) }, tlsfiles.Certificate, tlsfiles.ErrUsage, "not for TLS servers"},
		"certificate is expired":         {func(_ *testing.T, p *place) { p.pass(91 * 24 * time.Hour) }, tlsfiles.Certificate, tlsfiles.ErrTime, ""},
		"certificate is of the future":   {func(_ *testing.T, p *place) { p.pass(-time.Hour) }, tlsfiles.Certificate, tlsfiles.ErrTime, ""},
		"certificate has too many bytes": {func(t *testing.T, p *place) { write(t, p.cert, make([]byte, 1<<20+1), 0o644) }, tlsfiles.Certificate, tlsfiles.ErrFormat, ""},
		"authorities: a server":          {func(t *testing.T, p *place) { copyFile(t, p.cert, p.cas) }, tlsfiles.ClientCA, tlsfiles.ErrUsage, ""},
		"authorities: none":              {func(t *testing.T, p *place) { write(t, p.cas, []byte("# none yet\n"), 0o644) }, tlsfiles.ClientCA, tlsfiles.ErrFormat, ""},
		"authorities: all expired":       {func(_ *testing.T, p *place) { p.pass(366 * 24 * time.Hour) }, tlsfiles.ClientCA, tlsfiles.ErrTime, ""},
		"authorities: second is not whole": {func(t *testing.T, p *place) {
			one := read(t, p.cas)
			write(t, p.cas, append(bytes.Clone(one), one[:len(one)/2]...), 0o644)
		}, tlsfiles.ClientCA, tlsfiles.ErrFormat, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			key := read(t, p.key)
			test.spoil(t, p)
			_, err := tlsfiles.Open(p.cert, p.key, p.cas, slog.New(slog.DiscardHandler), tlsfiles.WithClock(p.clock))
			if err == nil {
				t.Fatal("accepted")
			}
			found := false
			for _, fault := range tlsfiles.Check(p.cert, p.key, p.cas, p.clock()) {
				found = found || fault.Role == test.role && errors.Is(fault, test.want) && strings.Contains(fault.Error(), test.says)
				if !strings.Contains(err.Error(), fault.Error()) || !strings.Contains(fault.Error(), fault.Path) {
					t.Errorf("Open does not say: %v", fault)
				}
			}
			if !found {
				t.Errorf("err = %v, want the %s's %v", err, test.role, test.want)
			}
			if holdsKey(err.Error(), key) {
				t.Error("the error holds a part of the key")
			}
		})
	}
}

func TestCheckSaysAllAtOnce(t *testing.T) {
	p := newPlace(t)
	write(t, p.cert, []byte("hello"), 0o644)
	write(t, p.key, read(t, p.key), 0o644)
	remove(t, p.cas)
	faults := tlsfiles.Check(p.cert, p.key, p.cas, p.clock())
	var got []string
	for _, fault := range faults {
		got = append(got, fault.Error())
	}
	want := []string{
		"TLS certificate file " + p.cert + ": has the wrong content: no certificate in PEM",
		"TLS key file " + p.key + ": has mode 0644, must have mode 0600 or 0400",
		"TLS client CA file " + p.cas + ": does not exist",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestOpenWantsALogger(t *testing.T) {
	p := newPlace(t)
	if _, err := tlsfiles.Open(p.cert, p.key, p.cas, nil); err == nil {
		t.Error("accepted a nil logger")
	}
}

func TestAccepted(t *testing.T) {
	p := newPlace(t)
	if err := os.Chmod(p.key, 0o400); err != nil {
		t.Fatal(err)
	}
	if faults := tlsfiles.Check(p.cert, p.key, p.cas, p.clock()); len(faults) > 0 {
		t.Errorf("a key of mode 0400: %v", faults)
	}
	link := p.path("link.key")
	if err := os.Symlink(p.key, link); err != nil {
		t.Fatal(err)
	}
	if faults := tlsfiles.Check(p.cert, link, p.cas, p.clock()); len(faults) > 0 {
		t.Errorf("a key behind a symbolic link: %v", faults)
	}
	write(t, p.cas, fmt.Appendf(nil, "the authority of 2026\n%s", read(t, p.cas)), 0o644)
	if faults := tlsfiles.Check(p.cert, p.key, p.cas, p.clock()); len(faults) > 0 {
		t.Errorf("text before a block: %v", faults)
	}
}

func TestKeyForms(t *testing.T) {
	ec, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, err2 := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, err3 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) *pem.Block {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	}
	tests := map[string]struct {
		public, private any
		block           *pem.Block
	}{
		"ECDSA in SEC 1":     {ec.Public(), ec, &pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}},
		"ECDSA in PKCS #8":   {ec.Public(), ec, pkcs8(ec)},
		"RSA in PKCS #1":     {rs.Public(), rs, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rs)}},
		"RSA in PKCS #8":     {rs.Public(), rs, pkcs8(rs)},
		"Ed25519 in PKCS #8": {ed.Public(), ed, pkcs8(ed)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			write(t, p.cert, selfSigned(t, p.clock(), test.public, test.private), 0o644)
			// Tools put the parameters of the curve before an ECDSA key.
			parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}})
			write(t, p.key, append(parameters, pem.EncodeToMemory(test.block)...), 0o600)
			if faults := tlsfiles.Check(p.cert, p.key, p.cas, p.clock()); len(faults) > 0 {
				t.Errorf("%v", faults)
			}
		})
	}
}
