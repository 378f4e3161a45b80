package storetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault/memstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// testModel runs random histories on the engine and on memstore and compares
// every answer. Keys and values come from small pools, so that rows meet.
func testModel(t *testing.T, e Engine) {
	rapid.Check(t, func(rt *rapid.T) {
		real, model := e.Open(t), store.Store(memstore.New(Tables()))
		defer func() {
			if err := real.Check(context.Background()); err != nil {
				rt.Errorf("check: %v", err)
			}
			if err := real.Close(); err != nil {
				rt.Errorf("close: %v", err)
			}
		}()
		actions := map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				b := drawBatch(rt)
				got, want := real.Commit(context.Background(), &b), model.Commit(context.Background(), &b)
				if outcome(got) != outcome(want) {
					rt.Fatalf("commit: %v, the model says %v", got, want)
				}
			},
			"get": func(rt *rapid.T) {
				keys := rapid.SliceOfN(drawKey(), 0, 40).Draw(rt, "keys")
				sameRows(rt, real, model, keys)
			},
			"scan": func(rt *rapid.T) {
				table := rapid.SampledFrom([]uint8{Cells, Ledger}).Draw(rt, "table")
				from, to := drawBytes(keyPool()).Draw(rt, "from"), drawBytes(keyPool()).Draw(rt, "to")
				if rapid.Bool().Draw(rt, "open end") {
					to = nil
				}
				limit := rapid.IntRange(1, 20).Draw(rt, "limit")
				samePage(rt, real, model, table, from, to, limit)
			},
			"": func(rt *rapid.T) {
				for _, table := range []uint8{Cells, Ledger} {
					samePage(rt, real, model, table, nil, nil, 1000)
				}
			},
		}
		if _, ok := real.(store.Compactor); ok {
			actions["compact"] = func(rt *rapid.T) {
				if rapid.IntRange(0, 4).Draw(rt, "compact") > 0 {
					return // it takes longer than all others
				}
				if _, _, err := real.(store.Compactor).Compact(context.Background()); err != nil {
					rt.Fatalf("compact: %v", err)
				}
			}
		}
		if e.Reopen != nil {
			actions["reopen"] = func(rt *rapid.T) { real = e.Reopen(t, real) }
		}
		rt.Repeat(actions)
		var all []store.Key
		for _, table := range Tables() {
			for _, k := range keyPool() {
				all = append(all, store.Key{Table: table.Number, Key: []byte(k)})
			}
		}
		sameRows(rt, real, model, all)
	})
}

// outcome is the part of an error that two engines must agree on.
func outcome(err error) any {
	var c *store.ConflictError
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &c):
		return *c
	case errors.Is(err, store.ErrCorrupt):
		return store.ErrCorrupt
	case errors.Is(err, store.ErrUsage):
		return store.ErrUsage
	default:
		return err.Error()
	}
}

func sameRows(rt *rapid.T, real, model store.Store, keys []store.Key) {
	var got, want store.Rows
	if err := real.Get(context.Background(), keys, &got); err != nil {
		rt.Fatalf("get: %v", err)
	}
	if err := model.Get(context.Background(), keys, &want); err != nil {
		rt.Fatalf("get of the model: %v", err)
	}
	for i := range keys {
		g, gok := got.Value(i)
		w, wok := want.Value(i)
		if gok != wok || !bytes.Equal(g, w) {
			rt.Fatalf("table %d, key %q: reads %q (exists %v), the model says %q (exists %v)", keys[i].Table, keys[i].Key, g, gok, w, wok)
		}
	}
}

func samePage(rt *rapid.T, real, model store.Store, table uint8, from, to []byte, limit int) {
	got, err := real.Scan(context.Background(), table, from, to, limit)
	if err != nil {
		rt.Fatalf("scan: %v", err)
	}
	want, err := model.Scan(context.Background(), table, from, to, limit)
	if err != nil {
		rt.Fatalf("scan of the model: %v", err)
	}
	if len(got) != len(want) {
		rt.Fatalf("scan of table %d: %d rows, the model says %d", table, len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) {
			rt.Fatalf("scan of table %d: row %d is %q=%q, the model says %q=%q", table, i, got[i].Key, got[i].Value, want[i].Key, want[i].Value)
		}
	}
}

func keyPool() []string {
	return []string{"\x00", "a", "a\x00", "ab", "b", "bb", "c", "key-1", "key-2", "key-3", "\xff", "\xff\xff",
		strings.Repeat("k", store.MaxKeyLen), strings.Repeat("k", store.MaxKeyLen-1)}
}

func valuePool() []string {
	return []string{"", "1", "2", "\x00\x00\x00\x00\x00\x00\x00\x01", "\x00\x00\x00\x00\x00\x00\x00\x05", strings.Repeat("v", 3000)}
}

func drawBytes(pool []string) *rapid.Generator[[]byte] {
	return rapid.Map(rapid.SampledFrom(pool), func(s string) []byte { return []byte(s) })
}

func drawKey() *rapid.Generator[store.Key] {
	return rapid.Custom(func(rt *rapid.T) store.Key {
		table := rapid.SampledFrom([]uint8{Cells, Ledger, Lookup, Postings}).Draw(rt, "table")
		return store.Key{Table: table, Key: drawBytes(keyPool()).Draw(rt, "key")}
	})
}

func drawBatch(rt *rapid.T) store.Batch {
	var b store.Batch
	for range rapid.IntRange(0, 2).Draw(rt, "preconditions") {
		k := drawKey().Draw(rt, "row")
		if rapid.Bool().Draw(rt, "absent") {
			b.RequireAbsent(k.Table, k.Key)
		} else {
			b.RequireEqual(k.Table, k.Key, drawBytes(valuePool()).Draw(rt, "value"))
		}
	}
	for range rapid.IntRange(0, 6).Draw(rt, "changes") {
		k := drawKey().Draw(rt, "row")
		switch rapid.SampledFrom([]store.Op{store.OpPut, store.OpPut, store.OpDelete, store.OpAdd}).Draw(rt, "op") {
		case store.OpPut:
			b.Put(k.Table, k.Key, drawBytes(valuePool()).Draw(rt, "value"))
		case store.OpDelete:
			b.Delete(k.Table, k.Key)
		case store.OpAdd:
			b.Add(k.Table, k.Key, rapid.Int64Range(-3, 3).Draw(rt, "delta"), -4, 4)
		}
	}
	return b
}
