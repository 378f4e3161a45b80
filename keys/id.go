package keys

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Kind says what a keyset is for. The numbers are stored and never reused.
type Kind uint8

const (
	// KindField locks the values of one field: AES-256-GCM.
	KindField Kind = 1
	// KindIndex finds values of one searchable field: HMAC-SHA256 PRF.
	KindIndex Kind = 2
	// KindDomain makes tokens and pseudonyms of one domain: HMAC-SHA256 PRF.
	KindDomain Kind = 3
	// KindLookup hashes callers' subject ids: HMAC-SHA256 PRF.
	KindLookup Kind = 4
	// KindRows seals rows that are not values: AES-256-GCM.
	KindRows Kind = 5
	// KindAuditRef enciphers and hashes subject refs in the log: HMAC-SHA256 PRF.
	KindAuditRef Kind = 6
	// KindAuditSigner signs checkpoints of the audit log: Ed25519.
	KindAuditSigner Kind = 7
)

// family is the primitive that a kind is made of.
type family uint8

const (
	familyNone family = iota
	familyAEAD
	familyPRF
	familySigner
)

func (k Kind) family() family {
	switch k {
	case KindField, KindRows:
		return familyAEAD
	case KindIndex, KindDomain, KindLookup, KindAuditRef:
		return familyPRF
	case KindAuditSigner:
		return familySigner
	}
	return familyNone
}

// String returns the name that IDs are written with, such as "field".
func (k Kind) String() string {
	switch k {
	case KindField:
		return "field"
	case KindIndex:
		return "index"
	case KindDomain:
		return "domain"
	case KindLookup:
		return "lookup"
	case KindRows:
		return "rows"
	case KindAuditRef:
		return "audit-ref"
	case KindAuditSigner:
		return "audit-signer"
	}
	return "kind-" + strconv.Itoa(int(k))
}

// ID names one keyset. Kinds of which a vault has only one use Number 0.
type ID struct {
	Kind   Kind
	Number uint32
}

// String returns the stored name of the keyset, such as "field/12".
func (id ID) String() string {
	return id.Kind.String() + "/" + strconv.FormatUint(uint64(id.Number), 10)
}

// Compare orders IDs by kind, then number.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Kind, other.Kind), cmp.Compare(id.Number, other.Number))
}

// ParseID reads what ID.String wrote, and nothing else; ErrFormat otherwise.
func ParseID(name string) (ID, error) {
	kind, number, _ := strings.Cut(name, "/")
	n, err := strconv.ParseUint(number, 10, 32)
	if err == nil {
		for k := KindField; k <= KindAuditSigner; k++ {
			if id := (ID{k, uint32(n)}); k.String() == kind && id.String() == name {
				return id, nil
			}
		}
	}
	return ID{}, fmt.Errorf("%w: row name is not of the form kind/number", ErrFormat)
}
