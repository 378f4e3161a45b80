package backup_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

// row is one row of a dump.
type row struct {
	table      uint8
	key, value string
}

var made = time.Date(2026, 11, 22, 10, 30, 0, 123456789, time.UTC)

func manifest(kind backup.Kind) backup.Manifest {
	return backup.Manifest{
		Kind: kind, Vault: backup.ID{1, 2, 3}, Pair: backup.ID{0xab, 0xcd, 0xef, 1, 2}, Time: made, Program: "cloakroomd test",
		Log:     backup.Log{Entries: 77, Root: backup.Hash{9, 8, 7}},
		Control: backup.Control{Policy: 3, Keysets: 4, Freezes: 5}, Lane: 1,
		Keysets: map[string]uint64{"field/3": 2, "rows/0": 1}, Epoch: 4, PreviousEpoch: 3,
		Tables:  []backup.Table{{Number: 1, Name: "people"}, {Number: 2, Name: "members"}, {Number: 6, Name: "control"}},
		LeftOut: []string{"lookup"},
	}
}

// some are rows that take about so many bytes.
func some(size int) (out []row) {
	for i, n := uint32(0), 0; n < size; i++ {
		key := string(binary.BigEndian.AppendUint32(nil, i))
		value := bytes.Repeat([]byte{byte(i)}, int(i%700))
		out = append(out, row{1 + uint8(0), key, string(value)})
		n += len(key) + len(value) + 4
	}
	return append(out, row{6, "refs", "12345678"})
}

func dump(rows []row) func(backup.Emit) error {
	return func(emit backup.Emit) error {
		for _, r := range rows {
			if err := emit(r.table, []byte(r.key), []byte(r.value)); err != nil {
				return err
			}
		}
		return nil
	}
}

// artefact writes rows and returns the bytes.
func artefact(t testing.TB, kek keys.KEK, m backup.Manifest, rows []row) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, _, err := backup.Write(t.Context(), &b, kek, m, dump(rows)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read reads an artefact to its end.
func read(t testing.TB, kek keys.KEK, b []byte) (backup.Manifest, []row, error) {
	t.Helper()
	r, err := backup.Open(t.Context(), bytes.NewReader(b), kek)
	if err != nil {
		return backup.Manifest{}, nil, err
	}
	rows, err := rest(r)
	return r.Manifest(), rows, err
}

// rest returns the rows that are left; nil for the error when it ends well.
func rest(r *backup.Reader) (out []row, _ error) {
	for {
		table, key, value, err := r.Next()
		if errors.Is(err, io.EOF) {
			if _, _, _, again := r.Next(); !errors.Is(again, io.EOF) {
				return out, fmt.Errorf("after the end: %w", again)
			}
			return out, nil
		}
		if err != nil {
			if _, _, _, again := r.Next(); !errors.Is(again, err) {
				return out, fmt.Errorf("another error after %w: %w", err, again)
			}
			return out, err
		}
		out = append(out, row{table, string(key), string(value)})
	}
}

// refused wants one of the errors that changed bytes may give.
func refused(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrFormat) && !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("%s: %v", what, err)
	}
}

var kek = func() func() keys.KEK {
	one := keystest.NewKEK()
	return func() keys.KEK { return one }
}()
