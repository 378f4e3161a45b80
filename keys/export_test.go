package keys

import (
	"testing"

	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Handle gives tests Tink's own view of a keyset, to hold this package
// against Tink.
func (r *Ring) Handle(t testing.TB, id ID) *keyset.Handle {
	t.Helper()
	h, err := r.holding()
	if err != nil {
		t.Fatal(err)
	}
	_, handle, err := h.root.open(Row{id.String(), h.blobs[id]})
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

// CheckHeader parses a row as Open does before any key is used, and reports
// whether writing what it read gives the same bytes.
func CheckHeader(blob []byte) (same bool, err error) {
	h, sealed, err := parseHeader(blob)
	if err != nil {
		return false, err
	}
	return string(append(h.append(nil), sealed...)) == string(blob), nil
}

// StorageOf returns the Storage that a Ring was opened over.
func StorageOf(r *Ring) Storage { return r.st }
