package main_test

import (
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditentry"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// TestOfflineReader: the clients' reader of entries, which shares no code with
// the vault, reads out of them what the vault wrote, and takes no bytes that the
// vault does not take.
func TestOfflineReader(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := auditEntries().Draw(t, "entry")
		raw := e.Append(nil)
		got, err := auditentry.Decode(raw)
		if d := cmp.Diff(told(e), got); err != nil || d != "" {
			t.Fatalf("%v (-want +got):\n%s", err, d)
		}
		// Cut off, longer, or with a byte changed.
		switch raw = append(raw, rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "more")...); rapid.IntRange(0, 2).Draw(t, "fault") {
		case 0:
			raw = raw[:rapid.IntRange(0, len(raw)).Draw(t, "to")]
		case 1:
			raw[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		e, want := audit.Decode(raw)
		got, err = auditentry.Decode(raw)
		switch {
		case errors.Is(want, audit.ErrFormat) != errors.Is(err, auditentry.ErrFormat), errors.Is(want, audit.ErrEntry) != errors.Is(err, auditentry.ErrEntry):
			t.Fatalf("the vault says %v, the reader %v", want, err)
		case want == nil:
			if d := cmp.Diff(told(e), got); d != "" {
				t.Fatalf("changed bytes (-want +got):\n%s", d)
			}
		}
	})
}

// TestOfflineActions: both have the same names of actions.
func TestOfflineActions(t *testing.T) {
	t.Parallel()
	for n := range 256 {
		a := audit.Action(n)
		if name := auditentry.ActionName(byte(n)); (name != "") != a.Known() || a.Known() && name != a.String() {
			t.Errorf("action %d is %q, and %q to the reader", n, a, name)
		}
	}
}

// told is what the reader should say of an entry.
func told(e *audit.Entry) *auditentry.Entry {
	out := &auditentry.Entry{
		ID: hex.EncodeToString(e.ID[:]), Time: e.Time, RequestID: e.Request, Principal: e.Principal, Action: e.Action.String(),
		Purpose: e.Purpose, View: e.View, Reason: e.Reason, PolicyVersion: e.PolicyVersion, Collection: e.Collection, Object: e.Object,
		Outcome: cloakroom.Outcome(e.Outcome.String()), Refusal: e.Refusal, Count: e.Count,
	}
	for _, it := range e.Items {
		item := auditentry.Item{Field: it.Field, Item: it.Item, Outcome: cloakroom.Outcome(it.Outcome.String()), KeyVersion: it.KeyVersion}
		if it.Subject != ([16]byte{}) {
			item.Subject = hex.EncodeToString(it.Subject[:])
		}
		if it.Hash != ([16]byte{}) {
			item.Hash = it.Hash[:]
		}
		if it.Refusal != 0 {
			item.Refusal = strconv.Itoa(int(it.Refusal))
			if name, known := cloakroomv1.ErrorReason_name[int32(it.Refusal)]; known {
				item.Refusal = strings.TrimPrefix(name, "ERROR_REASON_")
			}
		}
		out.Items = append(out.Items, item)
	}
	return out
}

// auditEntries makes valid entries whose items repeat each other often.
func auditEntries() *rapid.Generator[*audit.Entry] {
	block := rapid.Custom(func(t *rapid.T) (b [16]byte) {
		b[rapid.IntRange(0, 15).Draw(t, "place")] = rapid.ByteRange(0, 2).Draw(t, "byte")
		return b
	})
	item := rapid.Custom(func(t *rapid.T) audit.Item {
		return audit.Item{
			Subject: block.Draw(t, "subject"), Hash: block.Draw(t, "hash"),
			Field: rapid.SampledFrom([]uint32{0, 1, 127, 128, math.MaxUint32}).Draw(t, "field"),
			Item:  rapid.Uint16().Draw(t, "item"), Refusal: rapid.Uint16Range(0, 70).Draw(t, "refusal"),
			Outcome:    rapid.SampledFrom([]audit.Outcome{audit.Allowed, audit.Refused}).Draw(t, "outcome"),
			KeyVersion: rapid.SampledFrom([]uint16{0, 1, 127, 128, math.MaxUint16}).Draw(t, "version"),
		}
	})
	text := func(max int) *rapid.Generator[string] { return rapid.StringN(-1, -1, max) }
	return rapid.Custom(func(t *rapid.T) *audit.Entry {
		e := &audit.Entry{
			ID: block.Draw(t, "id"), Request: text(audit.MaxRequestLen).Draw(t, "request"),
			Principal: text(audit.MaxPrincipalLen).Draw(t, "principal"),
			Action:    rapid.SampledFrom([]audit.Action{audit.ActionReveal, audit.ActionPolicyApply, audit.ActionAlarm, 250}).Draw(t, "action"),
			Purpose:   text(audit.MaxNameLen).Draw(t, "purpose"), View: text(audit.MaxNameLen).Draw(t, "view"),
			Reason: text(audit.MaxReasonLen).Draw(t, "reason"), Collection: text(audit.MaxNameLen).Draw(t, "collection"),
			Refusal: text(audit.MaxNameLen).Draw(t, "refusal"), Object: text(audit.MaxObjectLen).Draw(t, "object"),
			PolicyVersion: rapid.Uint64().Draw(t, "policy"), Count: rapid.Uint32().Draw(t, "count"),
			Outcome: rapid.SampledFrom([]audit.Outcome{audit.Allowed, audit.Refused, audit.Mixed}).Draw(t, "outcome"),
			Items:   rapid.SliceOfN(item, 0, 9).Draw(t, "items"),
		}
		if ns := rapid.Int64Range(0, 9214646399e9).Draw(t, "time"); ns > 0 {
			e.Time = time.Unix(0, ns).UTC()
		}
		return e
	})
}
