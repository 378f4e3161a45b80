package rows_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Keys of one person stand together, header first, and every key decodes to
// what it was made of.
func TestPersonKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := rapid.Uint64().Draw(t, "ref")
		collection, item := rapid.Uint16().Draw(t, "collection"), rapid.Uint16().Draw(t, "item")
		field := rapid.Uint32Range(0, 1<<24-1).Draw(t, "field")
		keys := [][]byte{rows.HeaderKey(ref), rows.IdentityKey(ref), rows.RecordKey(ref, collection), rows.CellKey(ref, field, item)}
		if !slices.IsSortedFunc(keys, bytes.Compare) {
			t.Fatal("the header is not first, or the order is another")
		}
		from, to := rows.PersonRange(ref)
		for i, want := range []rows.PersonKey{
			{Ref: ref, Header: true}, {Ref: ref, Identity: true}, {Ref: ref, Collection: collection}, {Ref: ref, Field: field, Item: item},
		} {
			got, err := rows.ParsePersonKey(keys[i])
			if err != nil || got != want {
				t.Fatalf("%+v, %v; want %+v", got, err, want)
			}
			if bytes.Compare(keys[i], from) < 0 || (to != nil && bytes.Compare(keys[i], to) >= 0) || len(keys[i]) > store.MaxKeyLen {
				t.Fatal("a key outside its person's range")
			}
		}
		other := rapid.Uint64().Filter(func(n uint64) bool { return n != ref }).Draw(t, "other")
		for _, k := range [][]byte{rows.HeaderKey(other), rows.CellKey(other, field, item)} {
			if bytes.Compare(k, from) >= 0 && (to == nil || bytes.Compare(k, to) < 0) {
				t.Fatal("another person's key is in the range")
			}
			if (bytes.Compare(k, keys[0]) < 0) != (other < ref) {
				t.Fatal("persons do not stand in the order of their refs")
			}
		}
		if !bytes.Equal(rows.AppendCellKey([]byte("x"), ref, field, item)[1:], keys[3]) || !bytes.Equal(rows.AppendHeaderKey(nil, ref), keys[0]) {
			t.Fatal("appended keys differ")
		}
	})
}

func TestOtherKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref, after := rapid.Uint64().Draw(t, "ref"), rapid.Uint64().Draw(t, "after")
		collection := rapid.Uint16().Draw(t, "collection")
		key := rows.MemberKey(collection, ref)
		if got, err := rows.ParseMemberKey(key); err != nil || got != ref {
			t.Fatal(got, err)
		}
		from, to := rows.MemberRange(collection, after)
		in := bytes.Compare(key, from) >= 0 && (to == nil || bytes.Compare(key, to) < 0)
		if in != (ref > after) {
			t.Fatalf("ref %d after %d: in the range: %t", ref, after, in)
		}
		if got, err := rows.ParseRef(rows.RefKey(ref)); err != nil || got != ref {
			t.Fatal(got, err)
		}
		if got, err := rows.ParseErasingKey(rows.ErasingKey(ref)); err != nil || got != ref {
			t.Fatal(got, err)
		}
		efrom, eto := rows.ErasingRange()
		if k := rows.ErasingKey(ref); bytes.Compare(k, efrom) < 0 || bytes.Compare(k, eto) >= 0 {
			t.Fatal("an unfinished erasure outside its range")
		}
		for _, name := range [][]byte{rows.RefBlockKey, rows.SweptKey, rows.BootstrapKey, rows.VaultKey, rows.MarkKey, rows.GuardKey, rows.EpochKey} {
			if bytes.Compare(name, efrom) >= 0 && bytes.Compare(name, eto) < 0 {
				t.Fatalf("%s is among the erasures", name)
			}
		}
		expires, now := rapid.Int64Min(0).Draw(t, "expires"), rapid.Int64Min(0).Draw(t, "now")
		var hash rows.Hash
		copy(hash[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "hash"))
		k := rows.ExpiryKey(expires, hash)
		if got, err := rows.ParseExpiryKey(k); err != nil || got != hash {
			t.Fatal(err)
		}
		if before := bytes.Compare(k, rows.ExpiryBefore(now)) < 0; before != (expires < now) {
			t.Fatalf("expires %d, now %d: before: %t", expires, now, before)
		}
		if (bytes.Compare(rows.VersionKey(ref), rows.VersionKey(after)) < 0) != (ref < after) {
			t.Fatal("versions do not stand in order")
		}
	})
}

// The control row stands before all persons, and is of none.
func TestControlKey(t *testing.T) {
	k, err := rows.ParsePersonKey(rows.ControlKey)
	if err != nil || k != (rows.PersonKey{Control: true}) {
		t.Errorf("%+v, %v", k, err)
	}
	if from, _ := rows.PersonRange(1); bytes.Compare(rows.ControlKey, from) >= 0 {
		t.Error("the control row is among a person's rows")
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	for _, key := range [][]byte{nil, {1}, make([]byte, 7), {0, 0, 0, 0, 0, 0, 0, 1}, append(make([]byte, 8), 9), append(make([]byte, 8), 2, 0), append(make([]byte, 8), 3, 0, 0, 0, 0), make([]byte, 10)} {
		if _, err := rows.ParsePersonKey(key); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("a key of %d bytes in people: %v", len(key), err)
		}
	}
	for name, err := range map[string]error{
		"member":  second(rows.ParseMemberKey(make([]byte, 9))),
		"ref":     second(rows.ParseRef(make([]byte, 7))),
		"expiry":  second(rows.ParseExpiryKey(make([]byte, 25))),
		"erasing": second(rows.ParseErasingKey([]byte("erasing/1234567"))),
	} {
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Whatever stands in a row, parsing it ends, and what is taken encodes to the
// same bytes.
func FuzzRows(f *testing.F) {
	r := &rows.Record{Live: true, Version: 3, Fields: []rows.FieldItems{{Field: 1, Next: 3, Items: []uint16{1, 2}}}}
	h := rows.Header{State: rows.Active, KeyGeneration: 1, TokenGeneration: 1, Records: 1}
	q := rows.Request{Created: true, Ref: 7}
	e := rows.Epoch{Number: 1, Wrapped: []byte("wrapped")}
	for _, seed := range [][]byte{nil, r.Append(nil), h.Append(nil), q.Append(nil), e.Append(nil), (&rows.EndedEpoch{How: "so"}).Append(nil), rows.AppendCompactDue(nil, 5), rows.ControlRow{Policy: 1}.Append(nil), rows.CellKey(1, 2, 3)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(name string, err error, encoded []byte) {
			if err == nil && !bytes.Equal(encoded, b) {
				t.Errorf("%s: %x encodes to %x", name, b, encoded)
			}
		}
		if r, err := rows.ParseRecord(b); err == nil {
			same("record", err, r.Append(nil))
		}
		h, err := rows.ParseHeader(b)
		same("header", err, h.Append(nil))
		c, err := rows.ParseControl(b)
		same("control", err, c.Append(nil))
		q, err := rows.ParseRequest(b)
		same("request", err, q.Append(nil))
		if e, err := rows.ParseEpoch(b); err == nil && b[0] == 2 {
			same("epoch", err, e.Append(nil))
		}
		n, err := rows.ParseEndedEpoch(b)
		same("ended epoch", err, n.Append(nil))
		due, err := rows.ParseCompactDue(b)
		same("compact", err, rows.AppendCompactDue(nil, due))
		if k, err := rows.ParsePersonKey(b); err == nil && k.Field != 0 {
			same("cell", err, rows.CellKey(k.Ref, k.Field, k.Item))
		}
		_, _ = rows.ParseMemberKey(b)
		_, _ = rows.ParseErasingKey(b)
		_, _ = rows.ParseExpiryKey(b)
	})
}
