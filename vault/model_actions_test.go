package vault_test

import (
	"context"
	"slices"

	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"put":      m.put,
		"update":   m.update,
		"tokenize": m.tokenize,
		"delete":   m.delete,
		"freeze":   m.freeze,
		"thaw":     m.thaw,
		"trap":     m.trap,
		"reopen":   func(*rapid.T) { m.h.Reopen() },
		"":         m.check,
	}
}

func (m *model) put(t *rapid.T) {
	collection, subject := m.draw(t)
	values, upsert := drawFields(t, collection), rapid.Bool().Draw(t, "upsert")
	r, err := m.h.Vault.PutRecords(context.Background(), as("shop"), vault.PutRequest{Collection: collection, Upsert: upsert, Records: []vault.RecordInput{given(subject, values)}})
	if err != nil {
		t.Fatal(err)
	}
	was, want := m.records[collection][subject], vault.Reason(0)
	if was != nil && !upsert {
		want = vault.RecordExists
	}
	if reasonIn(t, "put", r[0].Err, want) {
		if r[0].Created != (was == nil) {
			t.Fatalf("created is %t", r[0].Created)
		}
		m.set(t, collection, subject, values, r[0].Record)
	}
}

func (m *model) update(t *rapid.T) {
	collection, subject := m.draw(t)
	values := drawFields(t, collection)
	q := vault.UpdateRequest{Collection: collection, Record: given(subject, values)}
	if rapid.Bool().Draw(t, "mask") {
		for _, name := range slices.Sorted(mapKeys(modelFields[collection])) {
			_, set := values[name]
			if set || rapid.Bool().Draw(t, "clear "+name) {
				q.Mask = append(q.Mask, name)
			}
		}
	}
	was, want := m.records[collection][subject], vault.Reason(0)
	switch stale := rapid.Bool().Draw(t, "stale etag"); {
	case len(q.Mask) == 0 && len(values) == 0:
		want = vault.InvalidRequest
	case was == nil:
		want = vault.RecordNotFound
	case stale:
		q.ETag, want = "0123456789abcdef", vault.ETagMismatch
	default:
		q.ETag = was.etag
	}
	got, err := m.h.Vault.UpdateRecord(context.Background(), as("shop"), q)
	e, _ := err.(*vault.Error)
	if reasonIn(t, "update", e, want) {
		for _, name := range q.Mask {
			if _, set := values[name]; !set {
				values[name] = []string{}
			}
		}
		m.set(t, collection, subject, values, got)
	}
}

func (m *model) tokenize(t *rapid.T) {
	collection, subject := m.draw(t)
	field := rapid.SampledFrom(slices.Sorted(mapKeys(modelFields[collection]))).Draw(t, "field")
	value := drawValue(t, field)
	r, err := m.h.Vault.Tokenize(context.Background(), as("shop"), vault.TokenizeRequest{Collection: collection, Field: field,
		Items: []vault.TokenizeItem{{SubjectID: subject, Value: vaulttest.Text(value)}}})
	if m.hides(collection, field) {
		e, _ := err.(*vault.Error)
		reasonIn(t, "tokenize", e, vault.Frozen)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var held []string
	if was := m.records[collection][subject]; was != nil {
		held = was.values[field]
	}
	at, limit, want := slices.Index(held, value), modelFields[collection][field], vault.Reason(0)
	if m.trapped[subject] { // it confirms nothing: every value is another
		at = -1
	}
	switch {
	case at >= 0:
	case limit == 1 && len(held) == 1:
		want = vault.ValueExists
	case len(held) == limit:
		want = vault.TooManyValues
	}
	if !reasonIn(t, "tokenize", r[0].Err, want) {
		return
	}
	if r[0].Stored != (at < 0) {
		t.Fatalf("stored is %t", r[0].Stored)
	}
	if at >= 0 {
		if r[0].Token != m.records[collection][subject].tokens[field][at] {
			t.Fatal("another token than the value has")
		}
		return
	}
	got, err := m.h.Vault.GetRecords(context.Background(), as("shop"), vault.GetRequest{Collection: collection, SubjectIDs: []string{subject}})
	if err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
	m.set(t, collection, subject, map[string][]string{field: append(slices.Clone(held), value)}, got[0].Record)
	if tokens := tokensOf(got[0].Record, field); tokens[len(tokens)-1] != r[0].Token {
		t.Fatal("the record has another token")
	}
}

func (m *model) delete(t *rapid.T) {
	collection, subject := m.draw(t)
	n, err := m.h.Vault.DeleteRecord(context.Background(), as("shop"), vault.DeleteRequest{Collection: collection, SubjectID: subject})
	want := vault.Reason(0)
	if m.records[collection][subject] == nil {
		want = vault.RecordNotFound
	}
	e, _ := err.(*vault.Error)
	if reasonIn(t, "delete", e, want) {
		if held := m.remove(collection, subject); n.Values != held {
			t.Fatalf("deleted %d values, want %d", n.Values, held)
		}
	}
}

var modelTargets = []vault.FreezeRequest{
	{Kind: vault.FreezeField, Target: "customers.note", Reason: "INC-1"}, {Kind: vault.FreezeField, Target: "customers.email", Reason: "INC-1"},
	{Kind: vault.FreezeCollection, Target: "orders", Reason: "INC-1"},
}

func (m *model) freeze(t *rapid.T) {
	q := rapid.SampledFrom(modelTargets).Draw(t, "target")
	f, err := m.h.Vault.Freeze(context.Background(), as("guard"), q)
	if err != nil || f.Target != q.Target {
		t.Fatal(f, err)
	}
	if was := m.frozen[q.Target]; was != 0 && was != f.ID {
		t.Fatalf("frozen already as %d, now %d", was, f.ID)
	}
	m.frozen[q.Target] = f.ID
}

func (m *model) thaw(t *rapid.T) {
	target := rapid.SampledFrom(modelTargets).Draw(t, "target").Target
	id, want := m.frozen[target], vault.Reason(0)
	if id == 0 {
		id, want = 1<<40, vault.FreezeNotFound
	}
	e, _ := m.h.Vault.Thaw(context.Background(), as("guard"), id, "INC-1").(*vault.Error)
	if reasonIn(t, "thaw", e, want) {
		delete(m.frozen, target)
	}
}

// trap marks a person, or takes the mark away.
func (m *model) trap(t *rapid.T) {
	_, subject := m.draw(t)
	there := m.records["customers"][subject] != nil || m.records["orders"][subject] != nil
	if want := vault.SubjectNotFound; !there || m.trapped[subject] {
		if there || m.ghosts[subject] {
			want = 0
		}
		e, _ := m.h.Vault.UnmarkHoney(context.Background(), as("guard"), subject, "INC-1").(*vault.Error)
		if reasonIn(t, "unmark", e, want) {
			delete(m.trapped, subject)
			delete(m.ghosts, subject)
		}
		return
	}
	if err := m.h.Vault.MarkHoney(context.Background(), as("guard"), vault.HoneyRequest{Subject: subject, Refuse: true, Reason: "INC-1"}); err != nil {
		t.Fatal(err)
	}
	m.trapped[subject] = true
}
