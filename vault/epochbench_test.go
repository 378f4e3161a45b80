package vault_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// benchRef is above all refs that the vault gives out here.
const benchRef = 1<<48 | 1<<40

// fillPersons stores the keys of n persons, wrapped in the current epoch.
func fillPersons(b *testing.B, h *vaulttest.Harness, n int) {
	b.Helper()
	var have store.Rows
	if err := h.Keys.Get(b.Context(), []store.Key{{Table: rows.KeyControl, Key: rows.EpochKey}, {Table: rows.KeyControl, Key: rows.VaultKey}}, &have); err != nil {
		b.Fatal(err)
	}
	row, _ := have.Value(0)
	id, _ := have.Value(1)
	stored, err := rows.ParseEpoch(row)
	if err != nil {
		b.Fatal(err)
	}
	e, err := keys.OpenEpoch(b.Context(), h.Epochs, stored.Number, [16]byte(id), stored.Wrapped)
	if err != nil {
		b.Fatal(err)
	}
	key := keys.NewSubjectKey()
	for first := 0; first < n; first += 20_000 {
		var batch store.Batch
		for ref := uint64(benchRef + first); ref < uint64(benchRef+min(n, first+20_000)); ref++ {
			batch.Put(rows.Subjects, rows.RefKey(ref), e.WrapSubjectKey(nil, ref, 1, key.Expose()))
		}
		if err := h.Keys.Commit(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEpochEnd ends epochs of a vault on files, compaction included.
func BenchmarkEpochEnd(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := vaulttest.OnDisk(b)
			h.Apply(testPolicy)
			fillPersons(b, h, n)
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for b.Loop() {
				if _, err := h.Vault.AskEpochEnd(b.Context(), as("keeper")); err != nil {
					b.Fatal(err)
				}
				if err := h.Vault.EndEpoch(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "persons/s")
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/(1<<20), "MiB-more")
		})
	}
}

// BenchmarkEpochEndBare is the loop that an end cannot be faster than: a key is
// unwrapped and wrapped.
func BenchmarkEpochEndBare(b *testing.B) {
	provider := keystest.NewEpochKEK()
	one, _, err := keys.CreateEpoch(b.Context(), provider, 1, [16]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	two, _, err := keys.CreateEpoch(b.Context(), provider, 2, [16]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	var key [keys.SecretSize]byte
	blob := one.WrapSubjectKey(nil, 7, 1, &key)
	out := make([]byte, 0, len(blob))
	b.ReportAllocs()
	for b.Loop() {
		if err := one.UnwrapSubjectKey(blob, 7, 1, &key); err != nil {
			b.Fatal(err)
		}
		out = two.WrapSubjectKey(out[:0], 7, 1, &key)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "persons/s")
}
