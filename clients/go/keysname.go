package cloakroom

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// KeyKind says what a key is for.
type KeyKind string

// The kinds of the contract.
const (
	// KeyField locks the values of one field; its name is "collection.field".
	KeyField KeyKind = "field"
	// KeyIndex finds the values of a searchable field; named like it.
	KeyIndex KeyKind = "index"
	// KeyDomain makes the tokens of the domain of that name.
	KeyDomain KeyKind = "domain"
	// KeyLookup finds people by the callers' ids. No name, as all that follow.
	KeyLookup KeyKind = "lookup"
	// KeyRows seals rows that are not values.
	KeyRows KeyKind = "rows"
	// KeyAuditRef enciphers people in the audit log.
	KeyAuditRef KeyKind = "audit-ref"
	// KeyAuditSigner signs the audit log.
	KeyAuditSigner KeyKind = "audit-signer"
	// KeyRoot seals all keysets.
	KeyRoot KeyKind = "root"
	// KeyKEK wraps the root, outside the vault.
	KeyKEK KeyKind = "kek"
	// KeyEpoch wraps people's keys for a time, outside the vault.
	KeyEpoch KeyKind = "epoch"
)

// KeyKinds returns the kinds there are, in the order of the contract.
func KeyKinds() []KeyKind {
	return []KeyKind{
		KeyField, KeyIndex, KeyDomain, KeyLookup, KeyRows, KeyAuditRef, KeyAuditSigner, KeyRoot, KeyKEK, KeyEpoch,
	}
}

// named says whether there are several keys of the kind, told apart by name.
func (k KeyKind) named() bool { return k == KeyField || k == KeyIndex || k == KeyDomain }

func keyKindFrom(n cloakroomv1.KeyKind) KeyKind {
	kinds := KeyKinds()
	if n < 1 || int(n) > len(kinds) {
		return KeyKind(fmt.Sprintf("kind_%d", int32(n)))
	}
	return kinds[n-1]
}

// KeyName says which key is meant.
type KeyName struct {
	// Kind is what the key is for.
	Kind KeyKind
	// Name is its name, of kinds of which there are several; else empty. Of a
	// field that the policy no longer declares it is the field's number.
	Name string
}

// String returns the form that ParseKeyName reads, such as
// "field/customers.email" or "root".
func (n KeyName) String() string {
	if n.Name == "" {
		return string(n.Kind)
	}
	return string(n.Kind) + "/" + n.Name
}

// errKeyName lists the forms of a key's name.
var errKeyName = errors.New("unknown form of a key; the forms are collection.field or field/collection.field, " +
	"index/collection.field, domain/NAME, lookup, rows, audit-ref, audit-signer, root, kek and epoch")

// ParseKeyName reads the name of a key: "customers.email" or
// "field/customers.email", "index/customers.email", "domain/default", "lookup",
// "rows", "audit-ref", "audit-signer", "root", "kek" or "epoch". A field that is
// no longer declared goes by its number, as in "field/17". Whether there is such
// a key is for the vault to say. The error lists the forms.
func ParseKeyName(text string) (KeyName, error) {
	kind, name, slash := strings.Cut(text, "/")
	n := KeyName{Kind: KeyKind(kind), Name: name}
	if !slash && strings.Contains(text, ".") {
		n = KeyName{Kind: KeyField, Name: text}
	}
	switch {
	case !slices.Contains(KeyKinds(), n.Kind), n.Kind.named() != (n.Name != ""), slash && n.Name == "":
		return KeyName{}, errKeyName
	case (n.Kind == KeyField || n.Kind == KeyIndex) && !isFieldName(n.Name):
		return KeyName{}, errKeyName
	case strings.Contains(n.Name, "/"):
		return KeyName{}, errKeyName
	}
	return n, nil
}

// isFieldName accepts "collection.field" and the number of a field.
func isFieldName(name string) bool {
	collection, field, dot := strings.Cut(name, ".")
	if !dot {
		return strings.Trim(name, "0123456789") == ""
	}
	return collection != "" && field != "" && !strings.Contains(field, ".")
}

// message returns the name in the contract's form; a kind that there is not is
// refused.
func (n KeyName) message() (*cloakroomv1.KeyName, error) {
	number := slices.Index(KeyKinds(), n.Kind) + 1
	if number == 0 {
		return nil, invalidRequest("key", "unknown kind")
	}
	return cloakroomv1.KeyName_builder{Kind: cloakroomv1.KeyKind(number), Name: n.Name}.Build(), nil
}

func keyNameFrom(m *cloakroomv1.KeyName) KeyName {
	return KeyName{Kind: keyKindFrom(m.GetKind()), Name: m.GetName()}
}
