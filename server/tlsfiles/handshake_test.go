package tlsfiles_test

import (
	"crypto/tls"
	"testing"
	"time"
)

func TestHandshake(t *testing.T) {
	p := newPlace(t)
	server := p.open(t)
	seen, _, err := handshake(t, server, p.client(t, p.ca, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	if seen.Version != tls.VersionTLS13 || seen.NegotiatedProtocol != "h2" {
		t.Errorf("TLS version %x, protocol %q; want TLS 1.3 and h2", seen.Version, seen.NegotiatedProtocol)
	}
	if len(seen.VerifiedChains) == 0 || seen.PeerCertificates[0].URIs[0].String() != "spiffe://example.org/shop" {
		t.Error("the server did not verify the client's certificate")
	}
}

func TestHandshakeRefuses(t *testing.T) {
	p := newPlace(t)
	server := p.open(t)
	late := newPlace(t)
	lateServer := late.open(t)
	late.pass(91 * 24 * time.Hour) // the client's certificate lives 90 days
	tests := map[string]struct {
		server, client *tls.Config
		change         func(*tls.Config)
	}{
		"no client certificate":       {server, p.client(t, nil, ""), nil},
		"client of another authority": {server, p.client(t, newCA(t), "shop"), nil},
		"a server's certificate":      {server, p.client(t, p.ca, "server"), nil},
		"an expired certificate":      {lateServer, late.client(t, late.ca, "shop"), nil},
		"TLS 1.2":                     {server, p.client(t, p.ca, "shop"), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }},
		"another protocol":            {server, p.client(t, p.ca, "shop"), func(c *tls.Config) { c.NextProtos = []string{"xmpp"} }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.change != nil {
				test.change(test.client)
			}
			if _, _, err := handshake(t, test.server, test.client); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// A user of the configuration may drop the callback or look at the fields.
func TestConfigIsStrictByItself(t *testing.T) {
	p := newPlace(t)
	config := p.open(t)
	config.GetConfigForClient = nil
	if _, _, err := handshake(t, config, p.client(t, nil, "")); err == nil {
		t.Error("accepted a client without a certificate")
	}
	if config.ClientAuth != tls.RequireAndVerifyClientCert || config.MinVersion != tls.VersionTLS13 || !config.SessionTicketsDisabled {
		t.Error("client certificates, TLS 1.3 and no tickets must be set on the outer configuration")
	}
}
