package filekek

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	passphrasePrefix = "cloakroom-passphrase-kek-v1:"
	checkLabel       = "cloakroom/filekek/passphrase/v1"
	saltSize         = 16
	checkSize        = 16
)

// cost is what one run of Argon2id takes.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

// ownCost is what new files get: 256 MiB and, with four free cores, half a
// second. RFC 9106 recommends 64 MiB with these passes and lanes where memory
// is short.
func ownCost() cost { return cost{memory: 256 << 10, passes: 3, lanes: 4} }

// maxCost bounds what a file that was changed can make the process spend.
func maxCost() cost { return cost{memory: 2 << 20, passes: 16, lanes: 16} }

// header is what a passphrase file holds. None of it is secret.
type header struct {
	cost
	salt  [saltSize]byte
	check [checkSize]byte
}

// derive runs Argon2id, which makes a guess cost memory and time. The text is
// normalised first: keyboards differ in how they give one character.
func (h *header) derive(phrase []byte) (key [keys.SecretSize]byte) {
	normal := norm.NFC.Bytes(phrase)
	defer clear(normal)
	out := argon2.IDKey(normal, h.salt[:], h.passes, h.memory, h.lanes, keys.SecretSize)
	defer clear(out)
	copy(key[:], out)
	return key
}

// checkOf tells a wrong passphrase from a right one, and binds the cost. It is
// no shorter way for who guesses than a wrapped blob is.
func (h *header) checkOf(key *[keys.SecretSize]byte) (check [checkSize]byte) {
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte(checkLabel))
	m.Write([]byte(h.costText()))
	m.Write(h.salt[:])
	copy(check[:], m.Sum(nil))
	return check
}

func (h *header) costText() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.passes, h.lanes)
}

func (h *header) text() []byte {
	enc := base64.StdEncoding
	return []byte(passphrasePrefix + h.costText() + ":" + enc.EncodeToString(h.salt[:]) + ":" + enc.EncodeToString(h.check[:]) + "\n")
}

// headerForm has one text for each header.
var headerForm = regexp.MustCompile(`^m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,2}),p=([1-9][0-9]{0,2}):([A-Za-z0-9+/]{22}==):([A-Za-z0-9+/]{22}==)\n?$`)

func parseHeader(path string, text []byte) (*header, error) {
	body, ok := bytes.CutPrefix(text, []byte(passphrasePrefix))
	if !ok {
		return nil, fmt.Errorf("%w: key file %s does not start with %q", keys.ErrFormat, path, passphrasePrefix)
	}
	m := headerForm.FindSubmatch(body)
	if m == nil {
		return nil, fmt.Errorf("%w: key file %s must go on with m=…,t=…,p=…:salt:check", keys.ErrFormat, path)
	}
	h, most := new(header), maxCost()
	memory, passes, lanes := number(m[1]), number(m[2]), number(m[3])
	if memory > uint64(most.memory) || passes > uint64(most.passes) || lanes > uint64(most.lanes) || memory < 8*lanes {
		return nil, fmt.Errorf("%w: key file %s must have m of 8×p to %d, t to %d, p to %d", keys.ErrFormat, path, most.memory, most.passes, most.lanes)
	}
	h.cost = cost{uint32(memory), uint32(passes), uint8(lanes)}
	enc := base64.StdEncoding.Strict()
	for i, into := range [][]byte{h.salt[:], h.check[:]} {
		raw, err := enc.DecodeString(string(m[4+i]))
		if err != nil {
			return nil, fmt.Errorf("%w: key file %s: salt and check must be base64", keys.ErrFormat, path)
		}
		copy(into, raw)
	}
	return h, nil
}

// number reads digits that the form has bounded.
func number(digits []byte) uint64 {
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 1 << 62 // above every limit
	}
	return n
}
