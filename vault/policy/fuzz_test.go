package policy_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, decisions, demo) {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		file, err := policy.Parse(doc)
		if err != nil {
			var problems policy.Problems
			if !errors.As(err, &problems) || len(problems) == 0 || file != nil {
				t.Fatalf("refused without problems: %v", err)
			}
			return
		}
		canonical := file.Canonical()
		again, err := policy.Parse(canonical)
		if err != nil {
			t.Fatalf("the canonical form is refused: %v\n%s", err, canonical)
		}
		if string(again.Canonical()) != string(canonical) {
			t.Fatalf("the canonical form changes:\n%s\n%s", canonical, again.Canonical())
		}
		reg, err := file.Register(nil)
		if err != nil {
			t.Fatalf("accepted and not registered: %v", err)
		}
		p, err := policy.Compile(file, reg, 1)
		if err != nil {
			t.Fatalf("accepted and not compiled: %v", err)
		}
		for _, pr := range p.Principals() {
			if p.Can(pr, policy.ActionPolicyApply) && p.Can(pr, policy.ActionReveal) {
				t.Fatal("a principal applies policies and reveals")
			}
		}
	})
}

func FuzzRegistry(f *testing.F) {
	f.Add([]byte(`{"format":1,"collections":[{"number":1,"name":"c"}],"fields":[{"number":1,"collection":1,"name":"f","type":"email"}],` +
		`"purposes":[{"number":1,"name":"p","dropped":true}],"domains":[{"number":1,"name":"default"}]}`))
	next := parse(f, shape("purpose p", "collection c", "field f phone"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		var r policy.Registry
		if err := json.Unmarshal(stored, &r); err != nil {
			return
		}
		form, err := json.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		var again policy.Registry
		if err := json.Unmarshal(form, &again); err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if twice, _ := json.Marshal(&again); string(twice) != string(form) {
			t.Fatalf("%s\n%s", form, twice)
		}
		if reg, err := next.Register(&r); err == nil {
			if _, err := policy.Compile(next, reg, 1); err != nil {
				t.Fatalf("registered and not compiled: %v", err)
			}
		}
	})
}
