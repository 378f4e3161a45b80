package alarm_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func BenchmarkObserve(b *testing.B) {
	const callers = 64
	list := func(n int) (persons []int) {
		for i := range n {
			persons = append(persons, i+1)
		}
		return persons
	}
	tests := []struct {
		name string
		e    *audit.Entry
	}{
		{"write", entry(audit.ActionCreate, 0, allowed(1)...)},
		{"reveal=1", reveal(0, allowed(1)...)},
		{"reveal=1000", reveal(0, allowed(list(1000)...)...)},
		{"unknown=1", unknown(0)},
		{"unknown=1000", reveal(0, refused(vault.TokenNotFound, list(1000)...)...)},
	}
	for _, test := range tests {
		b.Run(test.name, func(b *testing.B) {
			c := alarm.Defaults()
			c.Persons.Floor = 100_000
			d, e := detector(b, c), *test.e
			var names []string
			for i := range callers {
				names = append(names, "spiffe://example.org/service/"+strconv.Itoa(i))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				e.Principal, e.Time = names[i%callers], noon.Add(time.Duration(i))
				d.Observe(uint64(i), &e)
				i++
			}
		})
	}
}
