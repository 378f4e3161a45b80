package transitkek

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	formatBlob    = 1
	maxPlaintext  = 4096
	gcmOverhead   = 12 + 16 // nonce and tag
	maxCiphertext = 64 << 10
)

// ciphertext is the one form in which a ciphertext of the engine is taken. The
// engine itself is not so strict: it takes a leading zero and loose bits at
// the end of the base64, so that one ciphertext has several texts.
var ciphertext = regexp.MustCompile(`^vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/]+={0,2})$`)

// parse returns the key version that a ciphertext names and the length of its
// plaintext.
func parse(text string) (version, size int, err error) {
	if len(text) > maxCiphertext {
		return 0, 0, fmt.Errorf("%w: a ciphertext of %d bytes, want at most %d", keys.ErrFormat, len(text), maxCiphertext)
	}
	m := ciphertext.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, fmt.Errorf("%w: not a ciphertext of a transit engine", keys.ErrFormat)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(m[2])
	if err != nil || len(raw) < gcmOverhead {
		return 0, 0, fmt.Errorf("%w: not a ciphertext of a transit engine", keys.ErrFormat)
	}
	version, err = strconv.Atoi(m[1])
	return version, len(raw) - gcmOverhead, err
}

// openBlob returns the ciphertext in a blob and the key version it names.
func openBlob(blob []byte) (text string, version int, err error) {
	if len(blob) == 0 || blob[0] != formatBlob {
		return "", 0, fmt.Errorf("%w: not a blob of a transit engine", keys.ErrFormat)
	}
	text = string(blob[1:])
	version, _, err = parse(text)
	return text, version, err
}

// bound is what the engine gets as associated data. It is never empty.
func bound(aad []byte) []byte { return append([]byte{formatBlob}, aad...) }
