package backup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

// on makes artefacts of one kind, one for each day's pair.
func on(kind backup.Kind, days ...int) (out []backup.Artefact) {
	for _, d := range days {
		out = append(out, backup.Artefact{Path: fmt.Sprintf("%s%d", kind, d), Header: backup.Header{
			Kind: kind, Vault: backup.ID{1}, Pair: backup.ID{byte(d)}, Time: made.AddDate(0, 0, d), Epochs: []uint32{uint32(d)},
		}})
	}
	return out
}

func TestExpired(t *testing.T) {
	const day = 24 * time.Hour
	strange := on(backup.Values, 1)
	strange[0].Header.Vault = backup.ID{2}
	unread := []backup.Artefact{{Path: "unread", Err: backup.ErrFormat}}
	for _, c := range []struct {
		name         string
		values, keys []backup.Artefact
		v, k         backup.Rule
		want         string
	}{
		{"nothing", nil, nil, backup.Rule{Keep: day}, backup.Rule{Keep: day}, ""},
		{"no rule", on(backup.Values, 1, 2, 3), on(backup.Keys, 1, 2, 3), backup.Rule{}, backup.Rule{}, ""},
		{"by age", on(backup.Values, 1, 5, 8), on(backup.Keys, 1, 5, 8), backup.Rule{Keep: 6 * day}, backup.Rule{Keep: 3 * day}, "values1 keys5 keys1"},
		{"as old as may be", on(backup.Values, 8, 10), on(backup.Keys, 8, 10), backup.Rule{Keep: 2 * day}, backup.Rule{Keep: 2*day - 1}, "keys8"},
		{"by number", on(backup.Values, 1, 2, 3, 4), on(backup.Keys, 1, 2, 3, 4), backup.Rule{Most: 3}, backup.Rule{Most: 1}, "values1 keys3 keys2 keys1"},
		{"the newest pair is old", on(backup.Values, 1, 2), on(backup.Keys, 1, 2), backup.Rule{Keep: day}, backup.Rule{Keep: day}, "values1 keys1"},
		{"the newest values have no keys", on(backup.Values, 1, 2, 3), on(backup.Keys, 1, 2), backup.Rule{Keep: day}, backup.Rule{Keep: day}, "values1 keys1"},
		{"the newest keys have no values", on(backup.Values, 1), on(backup.Keys, 1, 2), backup.Rule{Most: 1}, backup.Rule{Most: 1}, ""},
		{"no pair at all", on(backup.Values, 1, 2), on(backup.Keys, 3), backup.Rule{Most: 1}, backup.Rule{Keep: day}, ""},
		{"others' artefacts", append(on(backup.Values, 1, 9), append(strange, unread...)...), on(backup.Keys, 9), backup.Rule{Keep: 2 * day}, backup.Rule{}, "values1"},
		{"in the wrong folder", on(backup.Values, 9), append(on(backup.Keys, 9), on(backup.Values, 1)...), backup.Rule{Keep: day}, backup.Rule{Keep: day}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, a := range backup.Expired(backup.ID{1}, c.values, c.keys, c.v, c.k, made.AddDate(0, 0, 10)) {
				got = append(got, a.Path)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%v expire, want %s", got, c.want)
			}
		})
	}
}

func TestEnded(t *testing.T) {
	keys := on(backup.Keys, 1, 2, 3)
	keys[1].Header.Epochs = []uint32{1, 2}
	keys = append(keys, backup.Artefact{Err: backup.ErrFormat}, on(backup.Values, 1)[0], on(backup.Keys, 1)[0])
	keys[5].Header.Vault = backup.ID{2}
	got := backup.Ended(backup.ID{1}, keys, func(e uint32) bool { return e < 2 })
	if !slices.EqualFunc(got, []string{"keys1"}, func(a backup.Artefact, p string) bool { return a.Path == p }) {
		t.Errorf("got %v", got)
	}
}
