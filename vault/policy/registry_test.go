package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

func store(t *testing.T, r *policy.Registry) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRegistryStoredForm(t *testing.T) {
	reg, err := parse(t, read(t, demo)).Register(nil)
	if err != nil {
		t.Fatal(err)
	}
	stored := store(t, reg)
	var back policy.Registry
	if err := json.Unmarshal([]byte(stored), &back); err != nil {
		t.Fatal(err)
	}
	if store(t, &back) != stored {
		t.Error("the registry changes on its way through storage")
	}
	again, err := parse(t, read(t, demo)).Register(&back)
	if err != nil || store(t, again) != stored {
		t.Errorf("registering the same document again changes numbers: %v", err)
	}
	if back.FieldName(2) != "customers.email" || back.FieldName(0) != "" || back.FieldName(9999) != "" {
		t.Errorf("field 2 is %q", back.FieldName(2))
	}
	var zero policy.Registry
	const nothing = `{"format":1,"collections":[],"fields":[],"purposes":[],"domains":[{"number":1,"name":"default"}]}`
	if store(t, &zero) != nothing || json.Unmarshal([]byte(nothing), &zero) != nil || store(t, &zero) != nothing {
		t.Errorf("an empty registry is stored as %s", store(t, &zero))
	}
	var none *policy.Registry
	if none.FieldName(1) != "" || len(reg.Dropped(nil)) != 0 {
		t.Error("a nil registry holds something")
	}
}

func TestRegistryRefusesDamage(t *testing.T) {
	const good = `{"format":1,"collections":[{"number":1,"name":"c"},{"number":2,"name":"old","dropped":true}],` +
		`"fields":[{"number":1,"collection":1,"name":"f","type":"email"},{"number":2,"collection":2,"name":"f","type":"email","dropped":true}],` +
		`"purposes":[{"number":1,"name":"p"},{"number":2,"name":"q"}],"domains":[{"number":1,"name":"default"},{"number":2,"name":"d"}]}`
	var r policy.Registry
	if err := json.Unmarshal([]byte(good), &r); err != nil {
		t.Fatal(err)
	}
	kept := store(t, &r)
	for _, change := range [][2]string{
		{`"format":1`, `"format":2`},
		{`"format":1`, `"format":0`},
		{`"format":1,`, ``},
		{`"format":1`, `"format":1,"more":1`},
		{`"number":1,"name":"p"`, `"number":1,"name":"p","why":1`},
		{`{"number":2,"name":"q"}`, `{"number":3,"name":"q"}`},
		{`{"number":2,"name":"q"}`, `{"number":1,"name":"q"}`},
		{`"name":"q"`, `"name":"p"`},
		{`"name":"q"`, `"name":""`},
		{`"name":"q"`, `"name":"Q"`},
		{`"name":"q"`, `"name":"q","type":"email"`},
		{`"name":"q"`, `"name":"q","collection":1`},
		{`"collection":1,`, ``},
		{`"collection":1`, `"collection":3`},
		{`"collection":1`, `"collection":2`},
		{`"collection":1`, `"collection":65536`},
		{`"type":"email"}`, `"type":""}`},
		{`"name":"default"`, `"name":"main"`},
		{`"name":"default"`, `"name":"default","dropped":true`},
		{`{"number":1,"name":"default"},{"number":2,"name":"d"}`, ``},
		{`"number":2`, `"number":-2`},
		{`]}`, `]`},
	} {
		damaged := strings.Replace(good, change[0], change[1], 1)
		if damaged == good {
			t.Fatalf("%s is not in the stored form", change[0])
		}
		if err := r.UnmarshalJSON([]byte(damaged)); !errors.Is(err, policy.ErrRegistry) {
			t.Errorf("%s instead of %s: %v", change[1], change[0], err)
		}
	}
	if err := r.UnmarshalJSON([]byte(good + good)); !errors.Is(err, policy.ErrRegistry) {
		t.Errorf("twice: %v", err)
	}
	if store(t, &r) != kept {
		t.Error("a refused form changed the registry")
	}
}

// A registry with all numbers given out takes the names it has and no more.
func TestNumbersRunOut(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"format":1,"collections":[],"fields":[],"domains":[{"number":1,"name":"default"}],"purposes":[`)
	const most = 1<<16 - 1
	for i := range most {
		fmt.Fprintf(&b, `{"number":%d,"name":"p%d","dropped":%v},`, i+1, i, i > 0)
	}
	full := strings.TrimSuffix(b.String(), ",") + "]}"
	var reg policy.Registry
	if err := json.Unmarshal([]byte(full), &reg); err != nil {
		t.Fatal(err)
	}
	if _, err := parse(t, shape("purpose p0")).Register(&reg); err != nil {
		t.Errorf("a name that has its number: %v", err)
	}
	var problems policy.Problems
	_, err := parse(t, shape("purpose p0", "purpose p1")).Register(&reg)
	if !errors.As(err, &problems) || problems[0].Message != "all 65535 numbers have been given out" {
		t.Errorf("one number too many: %v", err)
	}
	tooMany := strings.TrimSuffix(full, "]}") + fmt.Sprintf(`,{"number":%d,"name":"x"}]}`, most+1)
	if err := json.Unmarshal([]byte(tooMany), &reg); !errors.Is(err, policy.ErrRegistry) {
		t.Errorf("65536 purposes: %v", err)
	}
}
