package memstore_test

import (
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/memstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func TestReadsAreCopies(t *testing.T) {
	s := memstore.New([]store.Table{{Number: 1, Name: "cells", Kind: store.Ordered}})
	value := []byte("value")
	var b store.Batch
	b.Put(1, []byte("k"), value)
	if err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	page, err := s.Scan(t.Context(), 1, nil, nil, 1)
	if err != nil || len(page) != 1 {
		t.Fatalf("scan: %d rows, %v", len(page), err)
	}
	page[0].Value[1] = 'X'
	var rows store.Rows
	if err := s.Get(t.Context(), []store.Key{{Table: 1, Key: []byte("k")}}, &rows); err != nil {
		t.Fatal(err)
	}
	if v, _ := rows.Value(0); string(v) != "value" {
		t.Errorf("the store shares memory with its callers: the row reads %q", v)
	}
}

func TestCloseDropsRows(t *testing.T) {
	s := memstore.New([]store.Table{{Number: 1, Name: "cells", Kind: store.Ordered}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("second close: %v", err)
	}
	if _, err := s.Scan(t.Context(), 1, nil, nil, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("scan after close: %v, want ErrClosed", err)
	}
}
