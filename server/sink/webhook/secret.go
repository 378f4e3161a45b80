package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/cloakroom-vault/cloakroom/server/sink/secretfile"
)

const (
	secretPrefix = "whsec_"
	minSecret    = 24 // bytes, of the specification
	maxSecret    = 64
	maxSecrets   = 2
)

// ErrSecret: a secret file does not hold one or two secrets.
var ErrSecret = errors.New("webhook: the secret file")

// secrets are the keys that sign at present.
type secrets [][]byte

// String and the others keep the keys out of logs and errors.
func (secrets) String() string       { return "[secrets]" }
func (secrets) GoString() string     { return "[secrets]" }
func (secrets) LogValue() slog.Value { return slog.StringValue("[secrets]") }

// CheckSecret reports what is wrong with a secret file: ErrSecret, or an error
// of package secretfile. It names the rule and never the content.
func CheckSecret(path string) error {
	s, err := readSecrets(path)
	s.wipe()
	return err
}

func readSecrets(path string) (secrets, error) {
	text, err := secretfile.Read(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	s, err := parseSecrets(text)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrSecret, path, err)
	}
	return s, nil
}

func parseSecrets(text []byte) (s secrets, err error) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		if len(s) == maxSecrets {
			return nil, fmt.Errorf("more than %d secrets", maxSecrets)
		}
		body, ok := bytes.CutPrefix(line, []byte(secretPrefix))
		if !ok {
			return nil, fmt.Errorf("line %d does not begin with %q", len(s)+1, secretPrefix)
		}
		key := make([]byte, base64.StdEncoding.DecodedLen(len(body)))
		n, err := base64.StdEncoding.Strict().Decode(key, body)
		if err != nil || n < minSecret || n > maxSecret {
			return nil, fmt.Errorf("line %d does not hold %d to %d bytes in base64", len(s)+1, minSecret, maxSecret)
		}
		s = append(s, key[:n])
	}
	if len(s) == 0 {
		return nil, errors.New("no secret")
	}
	return s, nil
}

// sign returns the value of webhook-signature.
func (s secrets) sign(id string, timestamp int64, body []byte) string {
	var b []byte
	for _, key := range s {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(id + "." + strconv.FormatInt(timestamp, 10) + "."))
		h.Write(body)
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = base64.StdEncoding.AppendEncode(append(b, "v1,"...), h.Sum(nil))
	}
	return string(b)
}

func (s secrets) wipe() {
	for _, key := range s {
		clear(key)
	}
}
