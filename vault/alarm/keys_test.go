package alarm_test

import (
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// What happens to keys raises an alarm each time it happens, and a refused
// attempt does not.
func TestKeyRules(t *testing.T) {
	for action, want := range map[audit.Action]alarm.Rule{
		audit.ActionSeal: alarm.Sealed, audit.ActionKeyAway: alarm.KeyAway, audit.ActionKeyDue: alarm.KeyDue,
		audit.ActionKeyRequest: alarm.KeyDestruction, audit.ActionKeyDestroy: alarm.KeyDestruction,
		audit.ActionKeyRotate: "", audit.ActionKeyRead: "", audit.ActionUnseal: "",
	} {
		t.Run(action.String(), func(t *testing.T) {
			d, err := alarm.New(alarm.Defaults(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range uint64(3) {
				e := entry(action, time.Duration(i)*time.Second)
				e.Principal = "cloakroomd"
				got := d.Observe(i, e)
				switch {
				case want == "" && len(got) != 0:
					t.Errorf("raised %v", got)
				case want != "" && (len(got) != 1 || got[0].Rule != want || got[0].Cause != i || got[0].Principal != "cloakroomd"):
					t.Errorf("entry %d raised %v, want %s", i, got, want)
				}
			}
			e := entry(action, time.Minute)
			e.Outcome = audit.Refused
			for _, a := range d.Observe(9, e) {
				if a.Rule == want {
					t.Error("a refused attempt raised it")
				}
			}
		})
	}
}
