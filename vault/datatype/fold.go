package datatype

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// foldText is the match form of free text: NFKC, case folded, without
// invisible format characters, with single spaces. Folding the result changes
// nothing. Text of invisible characters alone stays as it is, so that no
// match form is empty.
func foldText(canonical []byte) []byte {
	if out, ok := foldASCII(canonical); ok {
		return out
	}
	s := string(canonical)
	fold := cases.Fold()
	// Folding can denormalise and normalising can bring out new capitals.
	// Characters settle in two rounds; the bound keeps malformed input finite.
	for range 8 {
		next := norm.NFKC.String(fold.String(norm.NFKC.String(dropInvisible(s))))
		next = strings.Join(strings.Fields(next), " ")
		if next == s {
			break
		}
		s = next
	}
	if s == "" {
		return canonical
	}
	return []byte(s)
}

func foldASCII(canonical []byte) ([]byte, bool) {
	out := make([]byte, 0, len(canonical))
	for _, b := range canonical {
		switch {
		case b >= 0x80, b < ' ':
			return nil, false
		case b >= 'A' && b <= 'Z':
			b += 'a' - 'A'
		case b == ' ' && (len(out) == 0 || out[len(out)-1] == ' '):
			continue
		}
		out = append(out, b)
	}
	if n := len(out); n > 0 && out[n-1] == ' ' {
		out = out[:n-1]
	}
	return out, len(out) > 0
}
