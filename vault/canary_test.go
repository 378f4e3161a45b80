package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// canary is what must be found nowhere: values as given and as stored, ids of
// persons, and pieces of refused values.
type canary struct {
	name  string
	value string
}

var canaries = []canary{
	{"name", "Zyxqwv Quibbleforth"},
	{"name, folded", "zyxqwv"},
	{"e-mail, as given", "Zyx.Canary@QUIBBLE.example"},
	{"e-mail", "zyx.canary@quibble.example"},
	{"second e-mail", "qqzyx2@quibble.example"},
	{"card, as given", "5425 2334 3010 9903"},
	{"card", "5425233430109903"},
	{"note", "canarynote7f3a9 with\nbreaks"},
	{"changed note", "changednote8c21e"},
	{"photo", "\x01photo\xff\x00canary\x7f\x80bytes"},
	{"street", "Quibble Boulevard 4711"},
	{"subject", "subject-zzq-9481"},
	{"second subject", "subject-zzq-9482"},
	{"refused e-mail", "refusedcanary5512 at quibble"},
	{"refused card", "5425233430109904"},
	{"refused reason", "because Zyxqwv asked"},
	{"value in place of a field", "Mistyped Canaryfield"},
}

// forms are the ways in which a value can stand in bytes. Of base64 only the
// characters are kept that do not depend on what stands beside the value.
func forms(value string) map[string][]byte {
	v := []byte(value)
	out := map[string][]byte{
		"raw":       v,
		"hex":       []byte(hex.EncodeToString(v)),
		"upper hex": []byte(strings.ToUpper(hex.EncodeToString(v))),
		"quoted":    []byte(strings.Trim(fmt.Sprintf("%q", value), `"`)),
		"decimal":   []byte(strings.Trim(fmt.Sprint(v), "[]")),
	}
	for shift := range 3 {
		padded := append(make([]byte, shift), v...)
		from, to := (8*shift+5)/6, 8*len(padded)/6
		out[fmt.Sprintf("base64 at %d", shift)] = []byte(base64.StdEncoding.EncodeToString(padded))[from:to]
		out[fmt.Sprintf("base64url at %d", shift)] = []byte(base64.URLEncoding.EncodeToString(padded))[from:to]
	}
	for _, unit := range utf16.Encode([]rune(value)) {
		out["UTF-16 LE"] = binary.LittleEndian.AppendUint16(out["UTF-16 LE"], unit)
		out["UTF-16 BE"] = binary.BigEndian.AppendUint16(out["UTF-16 BE"], unit)
	}
	return out
}

// findCanaries returns what of the canaries stands in text, in any form, as
// the names of canary and form.
func findCanaries(text []byte) []string {
	var found []string
	for _, c := range canaries {
		for form, bytesOf := range forms(c.value) {
			if bytes.Contains(text, bytesOf) {
				found = append(found, c.name+" as "+form)
			}
		}
	}
	return found
}

// searchFiles looks for canaries in every file below the directories, and
// returns how many files it read.
func searchFiles(t *testing.T, dirs ...string) (files int) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for _, what := range findCanaries(content) {
				t.Errorf("%s holds %s", filepath.Base(path), what)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// A search that finds nothing proves nothing unless it could find.
func TestCanarySearchFinds(t *testing.T) {
	for _, c := range canaries {
		for form, text := range forms(c.value) {
			around := bytes.Join([][]byte{bytes.Repeat([]byte{0xee}, 4096), text, bytes.Repeat([]byte{0xee}, 4096)}, nil)
			if len(findCanaries(around)) == 0 {
				t.Errorf("%s as %s is not found", c.name, form)
			}
		}
		for shift := range 3 { // in the middle of something longer
			text := base64.StdEncoding.EncodeToString([]byte("abc"[:shift] + c.value + "tail"))
			if len(findCanaries([]byte(text))) == 0 {
				t.Errorf("%s in base64, moved by %d, is not found", c.name, shift)
			}
		}
	}
	if found := findCanaries(bytes.Repeat([]byte("nothing of that kind 0123456789 "), 1000)); len(found) != 0 {
		t.Errorf("found %v where nothing is", found)
	}
}
