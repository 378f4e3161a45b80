package vault_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// modelFields are the fields the model uses, with how many items each holds.
var modelFields = map[string]map[string]int{
	"customers": {"full_name": 1, "email": 3, "note": 1},
	"orders":    {"street": 1},
}

// model is the vault as a reader of its contract sees it: records as lists of
// values, and what each token that was ever given out stands for.
type model struct {
	h       *vaulttest.Harness
	records map[string]map[string]*modelRecord // by collection and subject
	tokens  map[string]string                  // every token ever given out; "" is dead
	where   map[string]modelPlace              // what each of them is of
	frozen  map[string]uint64                  // "collection.field" or "collection": number of the freeze
	trapped map[string]bool                    // persons whose reveals are refused
	ghosts  map[string]bool                    // ids of which a person was erased while marked
}

type modelPlace struct{ collection, field, subject string }

// hides tells whether a field or its collection is frozen.
func (m *model) hides(collection, field string) bool {
	return m.frozen[collection] != 0 || m.frozen[collection+"."+field] != 0
}

type modelRecord struct {
	etag   string
	values map[string][]string
	tokens map[string][]string
}

func (m *model) draw(t *rapid.T) (collection, subject string) {
	return rapid.SampledFrom([]string{"customers", "orders"}).Draw(t, "collection"),
		rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "subject")
}

// drawFields draws values for some fields; values come twice on purpose.
func drawFields(t *rapid.T, collection string) map[string][]string {
	out := map[string][]string{}
	for _, name := range slices.Sorted(mapKeys(modelFields[collection])) {
		if !rapid.Bool().Draw(t, name) {
			continue
		}
		for range rapid.IntRange(0, modelFields[collection][name]).Draw(t, "items") {
			out[name] = append(out[name], drawValue(t, name))
		}
		if out[name] == nil {
			out[name] = []string{}
		}
	}
	return out
}

func drawValue(t *rapid.T, field string) string {
	n := rapid.IntRange(0, 4).Draw(t, "value")
	switch field {
	case "email":
		return fmt.Sprintf("mail%d@example.org", n)
	case "full_name":
		return fmt.Sprintf("Person %s", string(rune('A'+n)))
	}
	return fmt.Sprintf("%s %d", field, n)
}

func given(subject string, values map[string][]string) vault.RecordInput {
	in := vault.RecordInput{SubjectID: subject}
	for _, name := range slices.Sorted(mapKeys(values)) {
		f := vault.FieldValues{Field: name}
		for _, v := range values[name] {
			f.Values = append(f.Values, vaulttest.Text(v))
		}
		in.Fields = append(in.Fields, f)
	}
	return in
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// reasonIn fails unless err has the reason, or is nil with reason 0.
func reasonIn(t *rapid.T, what string, err *vault.Error, want vault.Reason) bool {
	got := vault.Reason(0)
	if err != nil {
		got = err.Reason
	}
	if got != want {
		t.Fatalf("%s: %v, want %v", what, err, want)
	}
	return want == 0
}

// set changes the model's record and compares the answer with it.
func (m *model) set(t *rapid.T, collection, subject string, values map[string][]string, got *vault.Record) {
	r := m.records[collection][subject]
	if r == nil {
		r = &modelRecord{values: map[string][]string{}, tokens: map[string][]string{}}
		m.records[collection][subject] = r
	}
	if got.ETag == r.etag {
		t.Fatalf("the etag did not change")
	}
	r.etag = got.ETag
	for name, list := range values {
		r.values[name] = list
	}
	m.adopt(t, r, got)
}

// adopt checks the tokens of an answer: old places keep theirs, new ones are
// fresh, and removed ones are dead from now on.
func (m *model) adopt(t *rapid.T, r *modelRecord, got *vault.Record) {
	for name, list := range r.values {
		now, was := tokensOf(got, name), r.tokens[name]
		if len(now) != len(list) {
			t.Fatalf("%s has %d tokens, want %d", name, len(now), len(list))
		}
		for i, token := range now {
			if i < len(was) && was[i] != token {
				t.Fatalf("%s: the token of item %d changed", name, i)
			}
			if _, known := m.tokens[token]; i >= len(was) && known {
				t.Fatalf("%s: a token was given out twice", name)
			}
			m.tokens[token] = list[i]
			m.where[token] = modelPlace{got.Collection, name, got.SubjectID}
		}
		for _, token := range was[min(len(was), len(now)):] {
			m.tokens[token] = ""
		}
		r.tokens[name] = now
	}
}

func (m *model) remove(collection, subject string) int {
	r, n := m.records[collection][subject], 0
	for _, tokens := range r.tokens {
		n += len(tokens)
		for _, token := range tokens {
			m.tokens[token] = ""
		}
	}
	delete(m.records[collection], subject)
	if m.records["customers"][subject] == nil && m.records["orders"][subject] == nil {
		m.ghosts[subject] = m.ghosts[subject] || m.trapped[subject]
		delete(m.trapped, subject)
	}
	return n
}

// check compares everything that was ever given out with the vault.
func (m *model) check(t *rapid.T) {
	all := slices.Sorted(mapKeys(m.tokens))
	for tokens := range slices.Chunk(all, vault.MaxBatch) {
		for _, purpose := range []string{"support", "payment"} {
			var out vault.Revealed
			err := m.h.Vault.Detokenize(context.Background(), as("reader"), vault.DetokenizeRequest{Tokens: tokens, Purpose: purpose}, &out)
			if err != nil {
				t.Fatal(err)
			}
			for i, token := range tokens {
				e, want, at := out.Items[i].Err, m.tokens[token], m.where[token]
				if m.trapped[at.subject] {
					want = ""
				}
				switch {
				case e != nil && e.Reason == vault.PurposeNotDeclared:
				case m.hides(at.collection, at.field):
					if e == nil || e.Reason != vault.Frozen {
						t.Fatalf("a token of what is frozen gives %v", e)
					}
				case want == "" && (e == nil || e.Reason != vault.TokenNotFound):
					t.Fatalf("a dead token gives %v", e)
				case want != "" && (e != nil || string(out.Value(i).Expose()) != want):
					t.Fatalf("revealed %q and %v, want %q", out.Value(i).Expose(), e, want)
				}
			}
		}
	}
	people := map[string]bool{}
	for collection, records := range m.records {
		page, _, err := m.h.Vault.ListRecords(context.Background(), as("shop"), vault.ListRequest{Collection: collection, PageSize: vault.MaxBatch})
		if err != nil || len(page) != len(records) {
			t.Fatalf("%s lists %d records and %v, want %d", collection, len(page), err, len(records))
		}
		for _, got := range page {
			r := records[got.SubjectID]
			if r == nil || r.etag != got.ETag {
				t.Fatalf("%s lists a record that is not there, or its old state", collection)
			}
			m.adopt(t, r, got)
			people[got.SubjectID] = true
		}
	}
	if n := m.count(t, rows.Subjects); n != len(people) {
		t.Fatalf("there are %d persons' keys for %d persons", n, len(people))
	}
}

func (m *model) count(t *rapid.T, table uint8) int {
	all, err := m.h.Keys.Scan(context.Background(), table, []byte{0}, nil, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Long random histories give the same as the model. On disk every step waits
// for the disk, so there are fewer of them, unless the command line says how
// many.
func TestModel(t *testing.T) {
	for name, make := range map[string]func(testing.TB) *vaulttest.Harness{"memory": vaulttest.New, "disk": vaulttest.OnDisk} {
		t.Run(name, func(t *testing.T) {
			if checks := flag.Lookup("rapid.checks"); name == "disk" && checks.Value.String() == checks.DefValue {
				if err := checks.Value.Set("15"); err != nil {
					t.Fatal(err)
				}
				defer checks.Value.Set(checks.DefValue)
			}
			rapid.Check(t, func(rt *rapid.T) {
				h := make(t)
				h.Apply(testPolicy)
				defer h.Close()
				m := &model{h: h, tokens: map[string]string{}, where: map[string]modelPlace{}, frozen: map[string]uint64{}, trapped: map[string]bool{}, ghosts: map[string]bool{}, records: map[string]map[string]*modelRecord{"customers": {}, "orders": {}}}
				rt.Repeat(m.actions())
			})
		})
	}
}
