package alarm_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestRules(t *testing.T) {
	tests := []struct {
		name    string
		entries []*audit.Entry
		want    []string
	}{
		{"quiet", []*audit.Entry{reveal(0, allowed(1, 2)...), entry(audit.ActionCreate, second, allowed(3)...)}, nil},

		{"unknown: one under", repeat(2, second, 0, unknown), nil},
		{"unknown: in three calls", repeat(3, second, 0, unknown), []string{"unknown_tokens mailer 3@2"}},
		{"unknown: in one call", []*audit.Entry{reveal(0, refused(vault.MalformedToken, 0, 0, 0, 0)...)}, []string{"unknown_tokens mailer 4@0"}},
		{"unknown: one call one under", []*audit.Entry{reveal(0, refused(vault.MalformedToken, 0, 0)...)}, nil},
		{"unknown: both kinds", []*audit.Entry{unknown(0), reveal(1, refused(vault.MalformedToken, 0)...), whole(2, vault.TokenNotFound)}, []string{"unknown_tokens mailer 3@2"}},
		{"unknown: among good ones", repeat(3, second, 0, func(at time.Duration) *audit.Entry {
			return reveal(at, append(allowed(1, 2), refused(vault.TokenNotFound, 3)...)...)
		}), []string{"unknown_tokens mailer 3@2"}},
		{"unknown: of any action", repeat(3, second, 0, func(at time.Duration) *audit.Entry {
			return entry(audit.ActionDescribe, at, refused(vault.TokenNotFound, 0)...)
		}), []string{"unknown_tokens mailer 3@2"}},
		{"unknown: of two callers", []*audit.Entry{unknown(0), by("b", unknown(1)), unknown(2), by("b", unknown(3))}, nil},
		{"unknown: just within", []*audit.Entry{unknown(0), unknown(1), unknown(minute - 1)}, []string{"unknown_tokens mailer 3@2"}},
		{"unknown: just without", []*audit.Entry{unknown(0), unknown(1), unknown(minute)}, nil},
		{"unknown: the window slides", []*audit.Entry{unknown(0), unknown(40 * second), unknown(70 * second), unknown(90 * second)}, []string{"unknown_tokens mailer 3@3"}},
		{"unknown: once a window, then with the count", repeat(14, 10*second, 0, unknown),
			[]string{"unknown_tokens mailer 3@2", "unknown_tokens mailer 6@8"}},
		{"unknown: anew after a rest", slices.Concat(repeat(3, second, 0, unknown), repeat(3, second, 2*minute, unknown)),
			[]string{"unknown_tokens mailer 3@2", "unknown_tokens mailer 3@5"}},
		{"unknown: a rest ends the count", slices.Concat(repeat(5, second, 0, unknown), repeat(3, second, 2*minute, unknown)),
			[]string{"unknown_tokens mailer 3@2", "unknown_tokens mailer 3@7"}},
		{"unknown: what makes a window full is kept", []*audit.Entry{reveal(0, refused(vault.TokenNotFound, 0, 0, 0)...), reveal(30*second, refused(vault.TokenNotFound, 0, 0, 0)...), unknown(31 * second), unknown(minute)},
			[]string{"unknown_tokens mailer 3@0", "unknown_tokens mailer 5@3"}},
		{"unknown: a rest, then one under", slices.Concat(repeat(3, second, 0, unknown), repeat(2, second, 2*minute, unknown)), []string{"unknown_tokens mailer 3@2"}},
		{"unknown: after a long trickle the count is the window's", slices.Concat(repeat(5, 40*second, 0, unknown), repeat(2, second, 161*second, unknown)),
			[]string{"unknown_tokens mailer 3@5"}},
		{"unknown: one that falls out of the window", []*audit.Entry{unknown(0), reveal(50*second, refused(vault.TokenNotFound, 0, 0)...), unknown(65 * second), unknown(114 * second), unknown(130 * second)},
			[]string{"unknown_tokens mailer 3@1"}},

		{"refusals: one under", repeat(2, second, 0, denied), nil},
		{"refusals: a call is one, however much it asked for", repeat(3, second, 0, denied), []string{"refusals mailer 3@2"}},
		{"refusals: items", []*audit.Entry{reveal(0, refused(vault.FieldDenied, 1, 2, 3)...)}, []string{"refusals mailer 3@0"}},
		{"refusals: unknown tokens are none", []*audit.Entry{denied(0), denied(1), unknown(2), unknown(3)}, nil},
		{"refusals: a call with good and bad items is not one more", repeat(2, second, 0, func(at time.Duration) *audit.Entry {
			e := reveal(at, refused(vault.FieldDenied, 1)...)
			e.Refusal = vault.FieldDenied.String()
			return e
		}), nil},
		{"refusals: a number of a later version", []*audit.Entry{reveal(0, refused(200, 1, 2, 3)...)}, []string{"refusals mailer 3@0"}},
		{"refusals: a failure of the vault is none", []*audit.Entry{reveal(0, refused(vault.StoreUnavailable, 1, 2, 3)...), whole(1, vault.Busy), whole(2, vault.Internal), whole(3, vault.StoreFull)}, nil},
		{"refusals: just within", []*audit.Entry{denied(0), denied(1), denied(minute - 1)}, []string{"refusals mailer 3@2"}},
		{"refusals: just without", []*audit.Entry{denied(0), denied(1), denied(minute)}, nil},

		{"honey: allowed", []*audit.Entry{honey(0)}, []string{"honey mailer 1@0"}},
		{"honey: refused", []*audit.Entry{reveal(0, refused(vault.FieldDenied, trap)...)}, []string{"honey mailer 1@0"}},
		{"honey: among others", []*audit.Entry{reveal(0, allowed(1, trap, 2)...)}, []string{"honey mailer 1@0"}},
		{"honey: tokenized", []*audit.Entry{entry(audit.ActionTokenize, 0, allowed(trap)...)}, []string{"honey mailer 1@0"}},
		{"honey: a guess that was wrong", []*audit.Entry{entry(audit.ActionTokenize, 0, refused(vault.ValueExists, 1, trap)...)}, []string{"honey mailer 1@0"}},
		{"honey: described", []*audit.Entry{entry(audit.ActionDescribe, 0, allowed(1, trap)...)}, []string{"honey mailer 1@0"}},
		{"honey: one window for all of these", []*audit.Entry{honey(0), entry(audit.ActionDescribe, 1, allowed(trap)...), entry(audit.ActionTokenize, hour, allowed(trap)...)}, []string{"honey mailer 1@0", "honey mailer 2@2"}},
		{"honey: ordinary work", []*audit.Entry{entry(audit.ActionHoney, 0, allowed(trap)...), entry(audit.ActionRead, 1, allowed(trap)...), entry(audit.ActionCreate, 2, allowed(trap)...), entry(audit.ActionUpdate, 3, allowed(trap)...), entry(audit.ActionDelete, 4, allowed(trap)...)}, nil},
		{"honey: nobody is no honey", []*audit.Entry{reveal(0, refused(vault.TokenNotFound, 0)...)}, nil},
		{"honey: held back within the window, told with the next", []*audit.Entry{honey(0), honey(1), honey(hour - 1), honey(hour)},
			[]string{"honey mailer 1@0", "honey mailer 3@3"}},
		{"honey: held back, told by anybody's next entry", []*audit.Entry{honey(0), honey(1), honey(minute), by("b", entry(audit.ActionCreate, hour-1)), by("b", entry(audit.ActionCreate, hour)), by("b", entry(audit.ActionCreate, 3*hour))},
			[]string{"honey mailer 1@0", "honey mailer 2@2"}},
		{"honey: told as soon as the window is over, once", []*audit.Entry{honey(0), honey(1), entry(audit.ActionCreate, hour), entry(audit.ActionCreate, 3*hour)},
			[]string{"honey mailer 1@0", "honey mailer 1@1"}},
		{"honey: told when the own window is over", []*audit.Entry{honey(0), honey(1), by("b", honey(30*minute)), by("b", honey(31*minute)), entry(audit.ActionCreate, hour), by("b", honey(80*minute)), entry(audit.ActionCreate, 90*minute-1), entry(audit.ActionCreate, 90*minute)},
			[]string{"honey mailer 1@0", "honey b 1@2", "honey mailer 1@1", "honey b 2@5"}},
		{"honey: what is held back is told in the order of the log", []*audit.Entry{honey(0), by("b", honey(0)), by("c", honey(0)), by("c", honey(1)), by("b", honey(1)), honey(1), by("d", entry(audit.ActionCreate, hour+second))},
			[]string{"honey mailer 1@0", "honey b 1@1", "honey c 1@2", "honey c 1@3", "honey b 1@4", "honey mailer 1@5"}},
		{"honey: each caller", []*audit.Entry{honey(0), by("b", honey(1))}, []string{"honey mailer 1@0", "honey b 1@1"}},

		{"corrupt", []*audit.Entry{reveal(0, append(allowed(1), refused(vault.DataCorrupt, 2)...)...)}, []string{"corrupt mailer 1@0"}},
		{"corrupt: of any action", []*audit.Entry{entry(audit.ActionRead, 0, refused(vault.DataCorrupt, 2)...)}, []string{"corrupt mailer 1@0"}},
		{"corrupt: a whole call", []*audit.Entry{whole(0, vault.DataCorrupt)}, []string{"corrupt mailer 1@0"}},
		{"corrupt: no series of refusals", []*audit.Entry{reveal(0, refused(vault.DataCorrupt, 1, 2, 3, 4)...)}, []string{"corrupt mailer 4@0"}},

		{"hours: within", []*audit.Entry{by("clerk-1", reveal(5*hour-1, allowed(1)...))}, nil},
		{"hours: without", []*audit.Entry{by("clerk-1", reveal(5*hour, allowed(1, 2)...))}, []string{"out_of_hours clerk-1 2@0"}},
		{"hours: refused is not revealed", []*audit.Entry{by("clerk-1", reveal(9*hour, refused(vault.FieldDenied, 1)...))}, nil},
		{"hours: not a reveal", []*audit.Entry{by("clerk-1", entry(audit.ActionRead, 9*hour, allowed(1)...))}, nil},
		{"hours: undeclared for the caller", []*audit.Entry{reveal(9*hour, allowed(1)...)}, nil},
		{"hours: a reveal of nothing listed", []*audit.Entry{by("clerk-1", reveal(5*hour))}, []string{"out_of_hours clerk-1 1@0"}},
		{"hours: the night is told twice", []*audit.Entry{by("clerk-1", reveal(6*hour, allowed(1)...)), by("clerk-1", reveal(7*hour-1, allowed(2, 3)...)), by("clerk-1", reveal(7*hour, allowed(1)...))},
			[]string{"out_of_hours clerk-1 1@0", "out_of_hours clerk-1 3@2"}},

		{"its own entries are passed over", []*audit.Entry{entry(audit.ActionAlarm, 0, refused(vault.DataCorrupt, 1, 2, 3)...), entry(audit.ActionAlarm, 0, refused(vault.FieldDenied, 1, 2, 3)...)}, nil},
		{"several rules at once, in order", []*audit.Entry{by("clerk", reveal(9*hour, slices.Concat(allowed(1, 2, 3, 4, trap), refused(vault.DataCorrupt, 9), refused(vault.FieldDenied, 6, 7, 8), refused(vault.TokenNotFound, 0, 0, 0))...))},
			[]string{"unknown_tokens clerk 3@0", "refusals clerk 3@0", "many_persons clerk 5@0", "out_of_hours clerk 5@0", "honey clerk 1@0", "corrupt clerk 1@0"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			check(t, small(), test.entries, test.want)
		})
	}
}

// Every reason of the vault is sorted, and the same by number and by name.
func TestReasons(t *testing.T) {
	c := small()
	c.UnknownTokens.Count, c.Refusals.Count = 1, 1
	want := func(r vault.Reason) []string {
		switch r {
		case vault.MalformedToken, vault.TokenNotFound:
			return []string{"unknown_tokens mailer 1@0"}
		case vault.DataCorrupt:
			return []string{"corrupt mailer 1@0"}
		case vault.AuditUnavailable, vault.StoreUnavailable, vault.StoreFull, vault.KeysUnavailable, vault.Busy, vault.Internal:
			return nil
		}
		return []string{"refusals mailer 1@0"}
	}
	for r, name := range vault.Reasons() {
		if diff := cmp.Diff(want(r), tell(detector(t, c), reveal(0, refused(r, 1)...))); diff != "" {
			t.Errorf("an item refused %s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(want(r), tell(detector(t, c), whole(0, r))); diff != "" {
			t.Errorf("a call refused %s (-want +got):\n%s", name, diff)
		}
	}
}

// A clock that steps is no way to silence a rule, and raises nothing by itself.
func TestClockSteps(t *testing.T) {
	tests := []struct {
		name    string
		entries []*audit.Entry
		want    []string
	}{
		{"a little back within a series", []*audit.Entry{unknown(2 * second), unknown(second), unknown(0)}, []string{"unknown_tokens mailer 3@2"}},
		{"far back within a series: it begins anew", []*audit.Entry{unknown(0), unknown(1), unknown(-hour), unknown(-hour + 1)}, nil},
		{"exactly a window back", []*audit.Entry{unknown(0), unknown(0), unknown(-minute)}, nil},
		{"far back after an alarm: raises again", slices.Concat(repeat(3, second, 0, unknown), repeat(3, second, -day, unknown)),
			[]string{"unknown_tokens mailer 3@2", "unknown_tokens mailer 3@5"}},
		{"far ahead and back", slices.Concat(repeat(2, second, 0, unknown), repeat(2, second, 10000*day, unknown), repeat(2, second, 0, unknown)), nil},
		{"back at a gate", []*audit.Entry{honey(0), honey(-hour + 1), honey(-hour)}, []string{"honey mailer 1@0", "honey mailer 2@2"}},
		{"back with something held back", []*audit.Entry{honey(0), honey(1), by("b", entry(audit.ActionCreate, -hour+1)), by("b", entry(audit.ActionCreate, -hour))},
			[]string{"honey mailer 1@0", "honey mailer 1@1"}},
		{"back across the hour: one hour", []*audit.Entry{reveal(0, allowed(1, 2)...), reveal(-second, allowed(3, 4)...), reveal(second, allowed(5)...)}, []string{"many_persons mailer 5@2"}},
		{"back by hours: another hour", []*audit.Entry{reveal(0, allowed(1, 2)...), reveal(-2*hour, allowed(3, 4)...), reveal(-2*hour, allowed(5)...)}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			check(t, small(), test.entries, test.want)
		})
	}
}
