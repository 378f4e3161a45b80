package otlp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/cloakroom-vault/cloakroom/server/sink/secretfile"
)

// ErrHeaders: a file does not hold headers.
var ErrHeaders = errors.New("otlp: the headers file")

// ownHeaders are set by the protocol.
const ownHeaders = "|Content-Type|Content-Encoding|Content-Length|Host|Transfer-Encoding|Connection|User-Agent|"

// CheckHeaders reports what is wrong with a headers file: ErrHeaders, or an
// error of package secretfile. It names the line and the rule, never content.
func CheckHeaders(path string) error {
	_, err := readHeaders(path)
	return err
}

// readHeaders reads a file of headers; none for an empty path.
func readHeaders(path string) (http.Header, error) {
	if path == "" {
		return http.Header{}, nil
	}
	text, err := secretfile.Read(path)
	if err != nil {
		return nil, err
	}
	h, err := parseHeaders(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrHeaders, path, err)
	}
	return h, nil
}

func parseHeaders(text string) (http.Header, error) {
	h := http.Header{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d: want a name, a colon and a value", number)
		case !httpguts.ValidHeaderFieldName(name):
			return nil, fmt.Errorf("line %d: not the name of a header", number)
		case value == "" || !httpguts.ValidHeaderFieldValue(value):
			return nil, fmt.Errorf("line %d: not the value of a header", number)
		case strings.Contains(ownHeaders, "|"+http.CanonicalHeaderKey(name)+"|"):
			return nil, fmt.Errorf("line %d: a header that the protocol sets", number)
		}
		h.Add(name, value)
	}
	return h, nil
}
