package vault_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// A version of a domain that was disabled or destroyed after the domain was
// renamed, or after its name went to another, is told by the restore.
func TestRestoreTellsOfRenamedDomains(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	base := strings.Replace(keeper(), "  - {name: analytics}\n", "  - {name: analytics}\n  - {name: first}\n  - {name: second}\n", 1)
	s.apply(base)
	report := b.make(s)
	s.apply(strings.Replace(base, "  - {name: first}\n  - {name: second}\n", "  - {name: third, renamed_from: first}\n", 1))
	s.apply(strings.Replace(base, "  - {name: first}\n  - {name: second}\n", "  - {name: third}\n  - {name: second}\n", 1))
	for _, name := range []string{"third", "second"} { // first, and one that the backup does not have
		k := vault.KeyChange{Key: vault.KeyRef{Kind: vault.KeyDomain, Name: name}, Version: 1, Reason: "T-1"}
		if _, err := s.vault.DisableKey(t.Context(), as("guard"), k); err != nil {
			t.Fatal(err)
		}
	}
	got := b.restore(s, report.Values, report.Keys)
	want := []string{"key.disable domain third v1", "key.disable domain second v1"}
	if !slices.Equal(got.KeysUnsure, want) || !got.Frozen {
		t.Errorf("the report says %+v", got)
	}
	list, err := s.vault.Keys(t.Context(), as("guard"), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range list.Keys {
		if k.Ref.Kind == vault.KeyDomain && k.Ref.Name == "second" && k.Versions[0].State != keys.Disabled {
			t.Errorf("the version of the name that the backup knows is %s", k.Versions[0].State)
		}
	}
}
