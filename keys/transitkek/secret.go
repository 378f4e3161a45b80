package transitkek

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	redacted      = "[redacted]"
	maxSecretFile = 16 << 10 // a service account's token is about 1 KiB
)

// secret is a token or another credential, which no printed form shows. The
// text is behind a pointer, because package fmt prints what an unexported
// field holds without asking its methods.
type secret struct{ text *string }

func newSecret(s string) secret { return secret{&s} }

// expose returns the text itself. It goes into a header or a body, and never
// into an error, a URL or a log.
func (s secret) expose() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String implements fmt.Stringer.
func (secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (secret) GoString() string { return redacted }

// Format implements fmt.Formatter: every verb prints the same.
func (secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, which covers JSON and YAML.
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// readSecret reads a credential from a file and leaves out the line end.
// Symbolic links are followed: Kubernetes mounts its files by them. With
// private the file must be closed to all users but its owner and group. The
// errors name the path and the rule.
func readSecret(path string, private bool) (secret, error) {
	// O_NONBLOCK: opening a named pipe must not hang; regular files ignore it.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return secret{}, fmt.Errorf("%w: credential file: %w", keys.ErrDenied, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return secret{}, fmt.Errorf("%w: credential file: %w", keys.ErrDenied, err)
	case !info.Mode().IsRegular():
		return secret{}, fmt.Errorf("%w: credential file %s must be a regular file", keys.ErrDenied, path)
	case private && info.Mode().Perm()&0o007 != 0:
		return secret{}, fmt.Errorf("%w: credential file %s has mode %04o, must be closed to other users", keys.ErrDenied, path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	defer clear(text)
	if err != nil {
		return secret{}, fmt.Errorf("%w: credential file: %w", keys.ErrDenied, err)
	}
	body := bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(body) == 0 || len(text) > maxSecretFile {
		return secret{}, fmt.Errorf("%w: credential file %s must hold 1 to %d bytes", keys.ErrDenied, path, maxSecretFile)
	}
	for _, c := range body {
		if c <= ' ' || c > '~' { // it goes into a header
			return secret{}, fmt.Errorf("%w: credential file %s must hold one line of visible ASCII", keys.ErrDenied, path)
		}
	}
	return newSecret(string(body)), nil
}
