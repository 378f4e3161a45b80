package backup_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

// A million rows go through in memory that does not grow with them.
func TestMemoryIsFlat(t *testing.T) {
	const rows = 1_000_000
	key, value := make([]byte, 8), bytes.Repeat([]byte{7}, 120)
	r, w := io.Pipe()
	written := make(chan error, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() {
		_, _, err := backup.Write(t.Context(), w, kek(), manifest(backup.Values), func(emit backup.Emit) error {
			for i := range uint64(rows) {
				binary.BigEndian.PutUint64(key, i)
				if err := emit(1, key, value); err != nil {
					return err
				}
			}
			return nil
		})
		_ = w.CloseWithError(err)
		written <- err
	}()
	b, err := backup.Open(t.Context(), r, kek())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		_, _, got, err := b.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(got) != len(value) {
			t.Fatal(len(got), err)
		}
		n++
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n != rows || b.Manifest().Tables[0].Rows != rows {
		t.Errorf("%d rows came back", n)
	}
	// All that was ever allocated, by both sides together.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated for %d rows", grown, rows)
	}
}

func BenchmarkWrite(b *testing.B) {
	key, value := make([]byte, 8), bytes.Repeat([]byte{7}, 120)
	var bytesWritten int64
	b.ReportAllocs()
	for b.Loop() {
		_, _, err := backup.Write(b.Context(), io.Discard, kek(), manifest(backup.Values), func(emit backup.Emit) error {
			for i := range uint64(100_000) {
				binary.BigEndian.PutUint64(key, i)
				if err := emit(1, key, value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		bytesWritten += 100_000
	}
	b.ReportMetric(float64(bytesWritten)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkRead(b *testing.B) {
	var rows []row
	for i := range uint64(100_000) {
		rows = append(rows, row{1, string(binary.BigEndian.AppendUint64(nil, i)), string(bytes.Repeat([]byte{7}, 120))})
	}
	whole := artefact(b, kek(), manifest(backup.Values), rows)
	b.ReportAllocs()
	for b.Loop() {
		r, err := backup.Open(b.Context(), bytes.NewReader(whole), kek())
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, _, _, err = r.Next()
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(rows)*b.N)/b.Elapsed().Seconds(), "rows/s")
}
