package index

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// A Key is what entries are found by. Keys are small values and can be
// compared; two keys that are equal find the same entries.
type Key struct{ hash uint64 } // the low hashBits bits

// hashBits is how much of a hash is kept. With 500,000 keys in a lot a key
// that is not there is taken for one that is once in 130,000 times.
const hashBits = 36

// kind keeps equal numbers and texts of different meaning apart. On disk for
// ever.
type kind byte

const (
	kindPrincipal kind = iota + 1
	kindField
	kindAction
	kindPurpose
	kindOutcome
)

// Subject finds entries with an item of this subject, given as it stands in
// the entry: enciphered. Zero finds items whose subject is unknown.
func Subject(ref [16]byte) Key {
	// References are blocks of a cipher, so that nobody chooses them and a
	// plain mixing will do; it takes 3 ns, a SHA-256 some 60.
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(ref[:8])^0xa0761d6478bd642f, binary.LittleEndian.Uint64(ref[8:])^0xe7037ed1a0b428db)
	hi, lo = bits.Mul64(hi^0x8ebc6af09c88c6e3, lo^0x589965cc75374cc3)
	return Key{(hi ^ lo) >> (64 - hashBits) &^ 1}
}

// Principal finds entries by who called.
func Principal(name string) Key { return text(kindPrincipal, name) }

// Purpose finds entries by the name of the declared purpose.
func Purpose(name string) Key { return text(kindPurpose, name) }

// Field finds entries with an item of this field.
func Field(number uint32) Key { return number32(kindField, number) }

// Action finds entries by what was asked for.
func Action(a audit.Action) Key { return number32(kindAction, uint32(a)) }

// Outcome finds entries by what was decided on the whole entry.
func Outcome(o audit.Outcome) Key { return number32(kindOutcome, uint32(o)) }

func number32(k kind, n uint32) Key {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return text(k, string(b[:]))
}

// text hashes with SHA-256, since a caller may choose the text.
func text(k kind, s string) Key {
	var room [1 + audit.MaxPrincipalLen]byte
	sum := sha256.Sum256(append(append(room[:0], byte(k)), s...))
	return Key{binary.BigEndian.Uint64(sum[:])>>(64-hashBits) | 1}
}

// isSubject reports which of the two kinds of hash k has.
func (k Key) isSubject() bool { return k.hash&1 == 0 }

// block returns which of 2^bits blocks holds the key.
func (k Key) block(bits uint8) uint16 { return uint16(k.hash >> (hashBits - bits)) }

// maxRemembered bounds the hashes that are kept.
const maxRemembered = 4096

// hasher remembers the hashes of texts and numbers, which repeat. It is used
// by one goroutine at a time.
type hasher struct {
	texts   map[textKey]Key
	numbers map[numberKey]Key
}

type textKey struct {
	kind kind
	text string
}

type numberKey struct {
	kind   kind
	number uint32
}

func newHasher() *hasher {
	return &hasher{texts: map[textKey]Key{}, numbers: map[numberKey]Key{}}
}

func (h *hasher) text(k kind, s string) Key {
	at := textKey{k, s}
	key, known := h.texts[at]
	if !known {
		if len(h.texts) >= maxRemembered {
			clear(h.texts)
		}
		key = text(k, s)
		h.texts[at] = key
	}
	return key
}

func (h *hasher) number(k kind, n uint32) Key {
	at := numberKey{k, n}
	key, known := h.numbers[at]
	if !known {
		if len(h.numbers) >= maxRemembered {
			clear(h.numbers)
		}
		key = number32(k, n)
		h.numbers[at] = key
	}
	return key
}
