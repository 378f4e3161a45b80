package main_test

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"google.golang.org/grpc/codes"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// The layout of a bbolt page, as far as the damage needs it: a header of 16
// bytes with flags and count, then elements of 16 bytes that say where key and
// value stand, from the element on.
const (
	pageSize   = 4096
	leafPage   = 0x02
	cellKeyLen = 14 // of keys of cells; see package rows
)

// leafPages calls f for the offset of every leaf page of a file.
func leafPages(file []byte, f func(at int)) {
	for at := 0; at+pageSize <= len(file); at += pageSize {
		if binary.LittleEndian.Uint16(file[at+8:]) == leafPage {
			f(at)
		}
	}
}

// cells calls f with the value of every cell of a leaf page, and its place.
func cells(file []byte, at int, f func(i int, value []byte)) {
	for i := range int(binary.LittleEndian.Uint16(file[at+10:])) {
		element := at + 16 + 16*i
		pos := int(binary.LittleEndian.Uint32(file[element+4:]))
		key := int(binary.LittleEndian.Uint32(file[element+8:]))
		value := int(binary.LittleEndian.Uint32(file[element+12:]))
		if start := element + pos + key; key == cellKeyLen && start+value <= at+pageSize {
			f(i, file[start:start+value])
		}
	}
}

// TestDamagedValues: a value that is not what was written is DATA_LOSS for its
// item; its neighbours in the same batch, and everything else, are served.
func TestDamagedValues(t *testing.T) {
	t.Parallel()
	dir, tokens := storedVault(t)
	damage(t, dir, func(file []byte) {
		leafPages(file, func(at int) {
			cells(file, at, func(i int, value []byte) {
				if i < 4 && len(value) > 40 { // a cell or two of every page
					value[len(value)-1] ^= 1
				}
			})
		})
	})
	p := serve(t, dir)
	revealed, err := p.as("billing").Detokenize(t.Context(), tokens, "payment")
	if err != nil {
		t.Fatalf("damage of some values fails the batch: %v", err)
	}
	lost := 0
	for i, r := range revealed {
		switch {
		case r.Err == nil && r.Value.ExposeText() == cardNumber(i):
		case isLoss(r.Err):
			lost++
		default:
			t.Errorf("token %d: %v, want the value or DATA_LOSS", i, r.Err)
		}
	}
	if lost == 0 || lost > len(tokens)/2 {
		t.Errorf("%d of %d values are lost: the test damages too little or the vault loses too much", lost, len(tokens))
	}
	storeCard(t, p, "afterwards")
	p.stop()
}

// TestDamagedPage: a page that is none is DATA_LOSS for what stands on it, and
// not for the rest.
func TestDamagedPage(t *testing.T) {
	t.Parallel()
	dir, tokens := storedVault(t)
	damage(t, dir, func(file []byte) {
		last := 0
		leafPages(file, func(at int) {
			cells(file, at, func(int, []byte) { last = at })
		})
		for i := range file[last : last+pageSize] {
			file[last+i] = 0xff
		}
	})
	p := serve(t, dir)
	billing := p.as("billing")
	lost := 0
	for i, token := range tokens {
		got, err := billing.DetokenizeOne(t.Context(), token, "payment")
		switch {
		case err == nil && got.Value.ExposeText() == cardNumber(i):
		case isLoss(err):
			lost++
		default:
			t.Errorf("token %d: %v, want the value or DATA_LOSS", i, err)
		}
	}
	if lost == 0 || lost > len(tokens)/2 {
		t.Errorf("%d of %d values are lost: the test damages too little or the vault loses too much", lost, len(tokens))
	}
	p.kill()
}

func isLoss(err error) bool {
	var e *cloakroom.Error
	return errors.As(err, &e) && e.Code == codes.DataLoss && e.Reason == "DATA_CORRUPT"
}

// damage changes values.db of a directory that nobody serves.
func damage(t *testing.T, dir string, f func(file []byte)) {
	t.Helper()
	path := in(dir, "data/values.db")
	file, err := os.ReadFile(path)
	check(t, err)
	f(file)
	check(t, os.WriteFile(path, file, 0o600))
}
