package keys

import "github.com/tink-crypto/tink-go/v2/keyset"

// Handle gives tests Tink's own view of a keyset, to hold this package
// against Tink.
func (s *Snapshot) Handle(id ID) *keyset.Handle { return s.sets[id].handle }

// CheckHeader parses a row as Open does before any key is used, and reports
// whether writing what it read gives the same bytes.
func CheckHeader(blob []byte) (same bool, err error) {
	h, sealed, err := parseHeader(blob)
	if err != nil {
		return false, err
	}
	return string(append(h.append(nil), sealed...)) == string(blob), nil
}
