package rows

import "github.com/cloakroom-vault/cloakroom/vault/store"

// Table numbers of values.db.
const (
	People uint8 = iota + 1
	Members
	Lookup
	Requests
	RequestExpiry
	Control
	Policies
	Outbox
	Ledger
	Freezes
	Honey
	KeyRequests
	KeyUses
)

// Table numbers of keys.db.
const (
	Subjects uint8 = iota + 1
	Keyring
	KeyControl
)

// ValueTables returns the declaration of values.db.
func ValueTables() []store.Table {
	return []store.Table{
		{Number: People, Name: "people", Kind: store.Ordered},
		{Number: Members, Name: "members", Kind: store.Ordered},
		{Number: Lookup, Name: "lookup", Kind: store.Scattered},
		{Number: Requests, Name: "requests", Kind: store.Scattered},
		{Number: RequestExpiry, Name: "request_expiry", Kind: store.Ordered},
		{Number: Control, Name: "control", Kind: store.Ordered},
		{Number: Policies, Name: "policies", Kind: store.Ordered},
		{Number: Outbox, Name: "outbox", Kind: store.Ordered},
		{Number: Ledger, Name: "ledger", Kind: store.Ordered},
		{Number: Freezes, Name: "freezes", Kind: store.Ordered},
		{Number: Honey, Name: "honey", Kind: store.Ordered},
		{Number: KeyRequests, Name: "key_requests", Kind: store.Ordered},
		{Number: KeyUses, Name: "key_uses", Kind: store.Ordered},
	}
}

// KeyTables returns the declaration of keys.db.
func KeyTables() []store.Table {
	return []store.Table{
		{Number: Subjects, Name: "subjects", Kind: store.Ordered},
		{Number: Keyring, Name: "keyring", Kind: store.Ordered},
		{Number: KeyControl, Name: "control", Kind: store.Ordered},
	}
}
