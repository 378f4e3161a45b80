package vault_test

import (
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// BenchmarkDeep checks a vault on files, of 10,000 persons of three values.
func BenchmarkDeep(b *testing.B) {
	b.ReportAllocs()
	dir := b.TempDir()
	if err := filekek.Generate(filepath.Join(dir, "kek")); err != nil {
		b.Fatal(err)
	}
	if _, err := filekek.CreateEpochs(filepath.Join(dir, "epochs")); err != nil {
		b.Fatal(err)
	}
	p, err := openParts(b.Context(), dir, true)
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := p.vault.ApplyPolicy(b.Context(), as("admin"), vault.ApplyRequest{Document: []byte(testPolicy)}); err != nil {
		b.Fatal(err)
	}
	for first := 0; first < benchPeople; first += vault.MaxBatch {
		if _, err := p.vault.PutRecords(b.Context(), as("shop"), benchBatch(first, vault.MaxBatch, false)); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.close(); err != nil {
		b.Fatal(err)
	}
	cells := uint64(0)
	for b.Loop() {
		c, err := deepDir(b.Context(), dir)
		if err != nil || c.report.Findings > 0 {
			b.Fatal(err, c.kinds())
		}
		cells += c.report.Cells
	}
	b.ReportMetric(float64(cells)/b.Elapsed().Seconds(), "cells/s")
}
