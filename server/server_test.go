package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/cloakroom-vault/cloakroom/clients/go/cloakroomtest"
)

// testPolicy gives one principal each kind of right.
const testPolicy = `
version: 1
purposes:
  - {name: payment, basis: contract, text: {en: To take the payment.}}
domains:
  - {name: analytics}
collections:
  - name: customers
    fields:
      - {name: email, type: email, category: user.contact.email, purposes: [payment]}
      - {name: card, type: payment_card, category: user.financial.card, purposes: [payment]}
      - {name: photo, type: bytes, category: user.photo, purposes: [payment]}
      - {name: note, type: string, category: user.note, purposes: [payment]}
roles:
  - name: administrator
    rules:
      - {effect: allow, actions: [policy.apply, policy.read]}
  - name: security
    rules:
      - {effect: allow, actions: [audit.read, incident.read, incident.freeze, incident.thaw, incident.honey, incident.exposure]}
      - {effect: allow, actions: [keys.read, keys.rotate, keys.disable, keys.destroy, keys.approve]}
  - name: shop
    rules:
      - {effect: allow, actions: [write, delete, read, tokenize, describe], fields: ["customers.*"]}
  - name: billing
    rules:
      - {effect: allow, actions: [reveal], fields: ["customers.*"], purposes: [payment], views: [plain]}
  - name: analyst
    rules:
      - {effect: allow, actions: [describe], fields: ["customers.*"], domains: [analytics]}
principals:
  - {id: "spiffe://cloakroom.example/admin", roles: [administrator]}
  - {id: "spiffe://cloakroom.example/security", roles: [security]}
  - {id: "spiffe://cloakroom.example/first", roles: [security]}
  - {id: "spiffe://cloakroom.example/second", roles: [security]}
  - {id: "spiffe://cloakroom.example/shop", roles: [shop]}
  - {id: "spiffe://cloakroom.example/billing", roles: [billing]}
  - {id: "spiffe://cloakroom.example/analytics", roles: [analyst]}
`

// dial connects without the client package, as any gRPC program would.
func dial(t *testing.T, s *cloakroomtest.Server, who string) *grpc.ClientConn {
	t.Helper()
	return dialWith(t, s.Address, credentials.NewTLS(tlsOf(t, s, who)))
}

func dialWith(t *testing.T, address string, c credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func tlsOf(t *testing.T, s *cloakroomtest.Server, who string) *tls.Config {
	t.Helper()
	ca, cert, key := s.Files(who)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS13}
}
