package policy_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// bigDocument has 500 fields with three purposes each, 1,000 rules in 100
// roles, and so many principals with two roles each, no two alike.
func bigDocument(principals int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\npurposes:\n")
	for i := range 20 {
		fmt.Fprintf(&b, "  - {name: p%d, basis: contract, text: {en: x}}\n", i)
	}
	b.WriteString("domains:\n")
	for i := range 10 {
		fmt.Fprintf(&b, "  - {name: d%d}\n", i)
	}
	b.WriteString("collections:\n")
	for c := range 10 {
		fmt.Fprintf(&b, "  - name: c%d\n    fields:\n", c)
		for f := range 50 {
			fmt.Fprintf(&b, "      - {name: f%d, type: string, category: user.k%d, purposes: [p%d, p%d, p%d]}\n", f, f%7, f%20, (f+c+1)%20, (f+c+7)%20)
		}
	}
	b.WriteString("roles:\n  - name: root\n    rules:\n      - {effect: allow, actions: [policy.apply]}\n")
	for r := range 100 {
		fmt.Fprintf(&b, "  - name: r%d\n    rules:\n", r)
		for i := range 10 {
			effect, views := "allow", []string{"plain", "masked", "[plain, masked]", "exists"}[(r+i)%4]
			if i == 9 {
				effect = "deny"
			}
			fmt.Fprintf(&b, "      - {effect: %s, actions: [reveal, read, describe], fields: [c%d.*], purposes: [%q], views: [%s], domains: [default, d%d]}\n",
				effect, (r+i)%10, "*", strings.Trim(views, "[]"), (r*i)%10)
		}
	}
	b.WriteString("principals:\n  - {id: \"dns:root\", roles: [root]}\n")
	for i := range principals {
		fmt.Fprintf(&b, "  - {id: \"dns:s%d\", roles: [r%d, r%d]}\n", i, i%100, (i+1+i/100)%100)
	}
	return []byte(b.String())
}

func BenchmarkDecide(b *testing.B) {
	p := compile(b, bigDocument(100))
	var requests []policy.Request
	for i, f := range p.Fields() {
		requests = append(requests, policy.Request{
			Action: policy.ActionReveal, Field: f.ID, Purpose: f.Purposes[i%3].ID, View: policy.View(1 + i%2), Domain: policy.DefaultDomain,
		})
	}
	principals := p.Principals()
	b.ReportAllocs()
	allowed, i := 0, 0
	for b.Loop() {
		i++
		if p.Decide(principals[1+i%100], requests[i%len(requests)]).Allowed {
			allowed++
		}
	}
	if allowed == 0 || allowed == i {
		b.Errorf("%d of %d allowed", allowed, i)
	}
}

func BenchmarkWidest(b *testing.B) {
	p := compile(b, bigDocument(100))
	fields, pr := p.Fields(), p.Principals()[1]
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		f := fields[i%len(fields)]
		p.Widest(pr, f.ID, f.Purposes[0].ID, policy.DefaultDomain)
	}
}

func BenchmarkParse(b *testing.B) {
	doc := bigDocument(100)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Parse(doc); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompile also reports what one more principal with a set of roles
// of its own adds to the memory of a policy.
func BenchmarkCompile(b *testing.B) {
	few, many := heldBy(b, 100), heldBy(b, 1100)
	f := parse(b, bigDocument(100))
	reg, err := f.Register(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Compile(f, reg, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((many-few)/1000, "B/principal")
}

// heldBy returns the bytes that a policy with so many principals holds.
func heldBy(b *testing.B, principals int) float64 {
	f := parse(b, bigDocument(principals))
	reg, err := f.Register(nil)
	if err != nil {
		b.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p, err := policy.Compile(f, reg, 1)
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(p)
	runtime.KeepAlive(f)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

func TestDecideDoesNotAllocate(t *testing.T) {
	p := compile(t, bigDocument(10))
	f, pr := p.Fields()[7], p.Principal("dns:s3")
	r := policy.Request{Action: policy.ActionReveal, Field: f.ID, Purpose: f.Purposes[0].ID, View: policy.ViewPlain, Domain: policy.DefaultDomain}
	if n := testing.AllocsPerRun(100, func() {
		p.Decide(pr, r)
		p.Widest(pr, r.Field, r.Purpose, r.Domain)
		p.Can(pr, policy.ActionReveal)
		p.Principal("dns:s3")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
