package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

var tables = []store.Table{{Number: 1, Name: "a", Kind: store.Ordered}, {Number: 9, Name: "b", Kind: store.Scattered}}

func TestBatchValidate(t *testing.T) {
	key, long := []byte("k"), make([]byte, store.MaxKeyLen+1)
	huge := make([]byte, store.MaxValueLen+1)
	for _, c := range []struct {
		name string
		fill func(*store.Batch)
		ok   bool
	}{
		{"one put", func(b *store.Batch) { b.Put(1, key, nil) }, true},
		{"the longest key and value", func(b *store.Batch) { b.Put(1, long[1:], huge[1:]) }, true},
		{"the same key in two tables", func(b *store.Batch) { b.Put(1, key, nil); b.Put(9, key, nil) }, true},
		{"a precondition on a row that changes", func(b *store.Batch) { b.RequireAbsent(1, key); b.Put(1, key, nil) }, true},
		{"two preconditions on a row", func(b *store.Batch) { b.RequireAbsent(1, key); b.RequireAbsent(1, key); b.Put(1, key, nil) }, true},
		{"an add", func(b *store.Batch) { b.Add(1, key, 1, 0, 9) }, true},
		{"empty", func(*store.Batch) {}, false},
		{"preconditions only", func(b *store.Batch) { b.RequireAbsent(1, key) }, false},
		{"put and delete of a row", func(b *store.Batch) { b.Put(1, key, nil); b.Delete(1, bytes.Clone(key)) }, false},
		{"unknown table", func(b *store.Batch) { b.Put(2, key, nil) }, false},
		{"unknown table in a precondition", func(b *store.Batch) { b.RequireEqual(2, key, nil); b.Put(1, key, nil) }, false},
		{"no key", func(b *store.Batch) { b.Delete(1, nil) }, false},
		{"no key in a precondition", func(b *store.Batch) { b.RequireAbsent(1, nil); b.Put(1, key, nil) }, false},
		{"key too long", func(b *store.Batch) { b.Put(1, long, nil) }, false},
		{"value too long", func(b *store.Batch) { b.Put(1, key, huge) }, false},
		{"value too long in a precondition", func(b *store.Batch) { b.RequireEqual(1, key, huge); b.Put(1, key, nil) }, false},
		{"unknown operation", func(b *store.Batch) { b.Writes = append(b.Writes, store.Write{Op: 4, Table: 1, Key: key}) }, false},
		{"no operation", func(b *store.Batch) { b.Writes = append(b.Writes, store.Write{Table: 1, Key: key}) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b store.Batch
			c.fill(&b)
			err := b.Validate(tables)
			if c.ok && err != nil || !c.ok && !errors.Is(err, store.ErrUsage) {
				t.Error(err)
			}
			b.Reset()
			if err := b.Validate(tables); len(b.Requires) != 0 || err == nil {
				t.Error("Reset left something")
			}
		})
	}
	var b store.Batch
	b.Put(1, []byte("secret key"), huge)
	if err := b.Validate(tables); strings.Contains(err.Error(), "secret") {
		t.Error("the error shows a key")
	}
	if store.Find(tables, 9) != &tables[1] || store.Find(tables, 2) != nil {
		t.Error("Find")
	}
}

// PrefixEnd and Next are the bounds that scans are made with.
func TestBounds(t *testing.T) {
	for _, c := range []struct{ prefix, end string }{
		{"a", "b"}, {"a\xff", "b"}, {"\xff\xff", ""}, {"", ""}, {"\x00", "\x01"}, {"a\xfe\xff", "a\xff"},
	} {
		got := store.PrefixEnd([]byte(c.prefix))
		if string(got) != c.end || (c.end == "") != (got == nil) {
			t.Errorf("the end of %q is %q, want %q", c.prefix, got, c.end)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		prefix, key := rapid.SliceOf(rapid.Byte()).Draw(t, "prefix"), rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		if rapid.Bool().Draw(t, "with the prefix") {
			key = append(bytes.Clone(prefix), key...)
		}
		was := bytes.Clone(prefix)
		end := store.PrefixEnd(prefix)
		in := bytes.Compare(key, prefix) >= 0 && (end == nil || bytes.Compare(key, end) < 0)
		if in != bytes.HasPrefix(key, prefix) || !bytes.Equal(was, prefix) {
			t.Fatalf("%x in the range of %x: %t", key, prefix, in)
		}
		next := store.Next(key)
		other := rapid.SliceOf(rapid.Byte()).Draw(t, "other")
		if (bytes.Compare(other, next) >= 0) != (bytes.Compare(other, key) > 0) {
			t.Fatalf("%x after %x", other, key)
		}
	})
}

func TestRows(t *testing.T) {
	var r store.Rows
	if r.Len() != 0 {
		t.Error("the zero value is not empty")
	}
	r.Append([]byte("one"))
	r.AppendAbsent()
	r.Append(nil)
	given := []byte("four")
	r.Append(given)
	given[0] = 'X' // it was copied
	want := []struct {
		value string
		ok    bool
	}{{"one", true}, {"", false}, {"", true}, {"four", true}}
	for i, w := range want {
		if got, ok := r.Value(i); string(got) != w.value || ok != w.ok {
			t.Errorf("entry %d: %q, %t", i, got, ok)
		}
	}
	if v, _ := r.Value(0); cap(v) != len(v) {
		t.Error("appending to a value would change its neighbour")
	}
	r.Resize(3)
	r.Set(2, []byte("c"))
	r.Set(0, []byte("a"))
	for i, w := range []string{"a", "", "c"} {
		if got, ok := r.Value(i); string(got) != w || ok != (w != "") {
			t.Errorf("entry %d: %q, %t", i, got, ok)
		}
	}
	if r.Len() != 3 {
		t.Error("Resize")
	}
	r.Reset()
	if r.Len() != 0 {
		t.Error("Reset left something")
	}
}

func TestCounters(t *testing.T) {
	for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		if got, err := store.Counter(store.AppendCounter(nil, n)); got != n || err != nil {
			t.Errorf("%d: %d, %v", n, got, err)
		}
	}
	for _, bad := range [][]byte{nil, make([]byte, 7), make([]byte, 9)} {
		if _, err := store.Counter(bad); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	for _, e := range []*store.ConflictError{{Require: 3, Write: -1}, {Require: -1, Write: 3}} {
		if !strings.Contains(e.Error(), "3") || fmt.Sprint(e) == "" {
			t.Errorf("%v does not say which", e)
		}
	}
}
