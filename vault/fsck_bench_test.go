package vault_test

import (
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// BenchmarkFsck checks 5,000 persons of two values each, in files.
func BenchmarkFsck(b *testing.B) {
	h := vaulttest.OnDisk(b)
	h.Apply(testPolicy)
	for first := 0; first < 5000; first += 1000 {
		q := vault.PutRequest{Collection: "customers"}
		for i := range 1000 {
			q.Records = append(q.Records, record(fmt.Sprintf("c-%d", first+i), "full_name", "Ada", "note", "tea"))
		}
		if _, err := h.Vault.PutRecords(b.Context(), as("shop"), q); err != nil {
			b.Fatal(err)
		}
	}
	for name, o := range map[string]vault.FsckOptions{"all": {}, "rows": {RowsOnly: true}, "deep": {RowsOnly: true, Deep: true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			rows := uint64(0)
			for b.Loop() {
				r, err := h.Vault.Fsck(b.Context(), o)
				if err != nil || r.Findings > 0 {
					b.Fatal(err, r)
				}
				rows += r.Rows
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
