package auditproof_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
)

// retold is a log whose export is told by somebody else.
type retold struct {
	auditproof.Log
	change func([]cloakroom.EncodedEntry) []cloakroom.EncodedEntry
}

// ExportAudit implements auditproof.Log.
func (r retold) ExportAudit(ctx context.Context, from, to uint64) iter.Seq2[cloakroom.EncodedEntry, error] {
	return func(yield func(cloakroom.EncodedEntry, error) bool) {
		var all []cloakroom.EncodedEntry
		for e, err := range r.Log.ExportAudit(ctx, from, to) {
			if err != nil {
				yield(e, err)
				return
			}
			all = append(all, e)
		}
		for _, e := range r.change(all) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func TestExportsThatDoNotCount(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func([]cloakroom.EncodedEntry) []cloakroom.EncodedEntry
		want   error
		text   string
	}{
		{"an entry left out", func(all []cloakroom.EncodedEntry) []cloakroom.EncodedEntry { return slices.Delete(all, 7, 8) }, auditproof.ErrIncomplete, "entry 7 is missing"},
		{"an entry twice", func(all []cloakroom.EncodedEntry) []cloakroom.EncodedEntry { return slices.Insert(all, 7, all[6]) }, auditproof.ErrIncomplete, "entry 6 came where 7 was due"},
		{"an entry too many", func(all []cloakroom.EncodedEntry) []cloakroom.EncodedEntry {
			return append(all, cloakroom.EncodedEntry{Index: 40})
		}, auditproof.ErrIncomplete, "entry 40 came where 40 was due"},
		{"an entry made up", func(all []cloakroom.EncodedEntry) []cloakroom.EncodedEntry {
			if len(all) > 0 && all[0].Index <= 13 && all[len(all)-1].Index >= 13 {
				all[13-all[0].Index].Data = []byte("made up")
			}
			return all
		}, auditproof.ErrEntry, "entry 13 is not"},
		{"others each time", func() func([]cloakroom.EncodedEntry) []cloakroom.EncodedEntry {
			times := 0
			return func(all []cloakroom.EncodedEntry) []cloakroom.EncodedEntry {
				if times++; times == 1 {
					all[13].Data = []byte("made up")
				}
				return all
			}
		}(), auditproof.ErrEntry, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, client, key := rig(t, 40)
			_, err := auditproof.VerifyLog(t.Context(), retold{client, tc.change}, key, auditproof.Options{})
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("found %v", err)
			}
		})
	}
}

// Where the first scan keeps only some marks, the second may not repeat the
// fault.
func TestVaultThatGivesOthersEachTime(t *testing.T) {
	_, client, key := rig(t, 5000)
	times := 0
	_, err := auditproof.VerifyLog(t.Context(), retold{client, func(all []cloakroom.EncodedEntry) []cloakroom.EncodedEntry {
		if times++; times == 1 {
			all[3333].Data = []byte("made up")
		}
		return all
	}}, key, auditproof.Options{})
	if !errors.Is(err, auditproof.ErrEntry) || !strings.Contains(err.Error(), "gives others each time") {
		t.Errorf("found %v", err)
	}
}
