package vault

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// since is what the log tells of the time since a backup. Replaying a change
// that is in the copy already must do no harm: the log's position was noted
// before the copy began.
type since struct {
	book     *book // of records and items
	maxField uint32
	unknown  map[string]bool // collections that the policy of the copy does not know

	told    restrictions
	freezes map[uint64]*storedFreeze // begun, by number
	number  uint64                   // the greatest of a freeze or a mark

	policy uint64 // the newest version that was applied
	lane   uint64 // the greatest of a restore
	keyOps uint64
	items  uint64 // of all entries, reveals too
	fates  map[useKey]keyFate
}

// keyFate is what became of a version of a keyset last.
type keyFate struct {
	action audit.Action
	at     time.Time
	forced bool // destroyed although values needed it
}

// readLog reads the entries since the backup.
func (x *restore) readLog(ctx context.Context) error {
	x.book, x.told = newBook(), restrictions{}
	x.unknown, x.freezes, x.fates = map[string]bool{}, map[uint64]*storedFreeze{}, map[useKey]keyFate{}
	x.lane = max(x.report.Values.Lane, x.report.Keys.Lane, rows.FirstLane)
	stored, err := readLane(ctx, x.v.values)
	if err != nil {
		return err
	}
	x.lane = max(x.lane, stored)
	var decoder audit.Decoder
	var scratch []byte
	subjects := x.v.subject.set.Load()
	err = x.log.Read(x.report.From, func(index uint64, raw []byte) error {
		if index >= x.report.To {
			return nil
		}
		if err := x.tick(ctx); err != nil {
			return err
		}
		e, err := decoder.Decode(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", EntryNumber(index+1), err)
		}
		delete(x.outbox, e.ID)
		x.items += uint64(len(e.Items))
		switch {
		case !isChange(e):
		case !x.v.stamped(e, &scratch):
			x.report.Unread++
		default:
			x.enter(e, EntryNumber(index+1), subjects)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if x.report.Unread > 0 && !x.r.AcceptUnread {
		return fmt.Errorf("%w: %d of them. Most likely the audit-ref key was changed since; take a newer backup of keys. "+
			"Without one, what they erased, froze or disabled cannot be known", ErrBackupUnread, x.report.Unread)
	}
	return x.searchOutbox(ctx)
}

// enter takes the entry of a change of this vault.
func (x *restore) enter(e *audit.Entry, n EntryNumber, subjects *subjectSet) {
	switch e.Action {
	case audit.ActionCreate, audit.ActionUpdate, audit.ActionDelete, audit.ActionTokenize:
		x.report.Changes++
		if !x.enterItems(e, n, subjects) {
			x.report.Unread++
		}
	case audit.ActionPolicyApply:
		x.policy = max(x.policy, e.PolicyVersion)
	case audit.ActionFreeze, audit.ActionThaw, audit.ActionHoney:
		x.told.note(e, n)
		if e.Action == audit.ActionFreeze {
			x.enterFreeze(e)
		}
	case audit.ActionKeyRotate, audit.ActionKeyPromote, audit.ActionKeyDisable, audit.ActionKeyEnable, audit.ActionKeyDestroy,
		audit.ActionKeyApprove, audit.ActionKeyRequest:
		x.keyOps++
		x.enterKey(e)
	case audit.ActionRestore:
		if lane, ok := restoreLane(e.Object); ok {
			x.lane = max(x.lane, lane)
		}
	}
}

// enterItems takes what a change did with records and items; false when it
// names somebody who cannot be told.
func (x *restore) enterItems(e *audit.Entry, number EntryNumber, subjects *subjectSet) (known bool) {
	known = true
	collection := x.collectionOf(e)
	last := uint64(0)
	for i := range e.Items {
		it := &e.Items[i]
		ref, _, ok := subjects.decipher(&it.Subject)
		if !ok || it.Field > slotField {
			known = false
			continue
		}
		x.maxField = max(x.maxField, it.Field)
		ev := event{entry: number, at: e.Time.UnixNano()}
		if ref != last {
			last = ref
			ev.gone = e.Action == audit.ActionDelete
			n, fresh := x.book.enter(ref, 0, collection)
			// Of two at one moment, and in doubt, the deletion counts.
			if s := x.book.at(n); fresh || ev.at > s.at || ev.at == s.at && ev.gone {
				s.at = ev.at
				s.take(&ev)
			}
		}
		if it.Field == 0 || it.Outcome != audit.Allowed {
			continue
		}
		ev.hash, ev.gone = it.Hash, it.Hash == [16]byte{}
		n, _ := x.book.enter(ref, it.Field, it.Item)
		// A number is never given out again: what is gone once stays gone.
		if s := x.book.at(n); !s.has(slotGone) {
			s.take(&ev)
		}
	}
	return known
}

// collectionOf returns the number of the collection of a change: that of its
// fields, which never changes, or that of its name; 0 when neither is known.
func (x *restore) collectionOf(e *audit.Entry) uint16 {
	for i := range e.Items {
		if f := x.st.whole.Field(policy.FieldID(e.Items[i].Field)); e.Items[i].Field != 0 && f != nil {
			return uint16(f.Collection.ID)
		}
	}
	if c := x.st.whole.Collection(e.Collection); c != nil {
		return uint16(c.ID)
	}
	x.unknown[e.Collection] = true
	return 0
}

// enterFreeze makes the row of a freeze out of its entry.
func (x *restore) enterFreeze(e *audit.Entry) {
	number, ok := freezeObject(e.Object)
	if !ok {
		return
	}
	kind, target, _ := strings.Cut(e.Object[:strings.LastIndex(e.Object, freezeSuffix)], " ")
	f := &storedFreeze{number: number, Target: target, Reason: e.Reason, By: e.Principal, At: e.Time}
	for k := FreezePrincipal; k <= FreezeVault; k++ {
		if k.String() == kind {
			f.Kind = k
		}
	}
	switch {
	case f.Kind == 0:
		return
	case f.Kind == FreezeField && len(e.Items) == 1:
		f.Number = e.Items[0].Field
	case f.Kind == FreezeCollection:
		f.Number = uint32(x.collectionOf(e))
	}
	x.freezes[number] = f
}

// enterKey notes what became of a version of a keyset.
func (x *restore) enterKey(e *audit.Entry) {
	switch e.Action {
	case audit.ActionKeyRotate, audit.ActionKeyDisable, audit.ActionKeyEnable, audit.ActionKeyDestroy:
	default:
		return
	}
	k, rest, ok := x.keyObject(e)
	action := e.Action
	retires := action == audit.ActionKeyDisable || action == audit.ActionKeyDestroy
	// A policy that was applied since may have given the name to another key.
	if !ok || e.PolicyVersion > x.st.whole.Version() && x.byName(k.id) {
		if retires {
			x.report.KeysUnsure = append(x.report.KeysUnsure, action.String()+" "+e.Object)
		}
		if !ok || !retires {
			return
		}
		action = audit.ActionKeyDisable // which can be undone
	}
	if was, told := x.fates[k]; told && was.action == audit.ActionKeyDestroy || told && e.Time.Before(was.at) {
		return
	}
	x.fates[k] = keyFate{action, e.Time, strings.Contains(rest, ", with ") && !strings.HasSuffix(rest, ", with 0 value(s)")}
}

// byName reports whether entries tell of a keyset by a name alone that a policy
// may take from it. Those of a field carry its number.
func (x *restore) byName(id keys.ID) bool {
	return id.Kind == keys.KindIndex || id.Kind == keys.KindDomain && policy.DomainID(id.Number) != policy.DefaultDomain
}

// keyObject reads which version of which keyset an entry is about: "field
// customers.email v3", and what follows.
func (x *restore) keyObject(e *audit.Entry) (k useKey, rest string, ok bool) {
	text, rest, _ := strings.Cut(e.Object, " #")
	text, _ = strings.CutSuffix(text, " added")
	at := strings.LastIndex(text, " v")
	if at < 0 {
		return k, rest, false
	}
	version, err := strconv.ParseUint(text[at+2:], 10, 16)
	if err != nil {
		return k, rest, false
	}
	kind, name, _ := strings.Cut(text[:at], " ")
	for ref := KeyField; ref < KeyRoot; ref++ {
		if ref.String() != kind {
			continue
		}
		k.version, k.id.Kind = uint16(version), keys.Kind(ref)
		if ref == KeyField && len(e.Items) == 1 {
			k.id.Number = e.Items[0].Field
			return k, rest, true
		}
		if name == "" {
			return k, rest, true
		}
		k.id.Number, ok = keyNumber(x.st, KeyRef{Kind: ref, Name: name})
		return k, rest, ok
	}
	return k, rest, false
}

// sortedFates returns the versions in a fixed order.
func (x *restore) sortedFates() []useKey {
	return slices.SortedFunc(maps.Keys(x.fates), func(a, b useKey) int {
		return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.version, b.version))
	})
}

// restoreLane reads the lane out of the object of a restore's entry.
func restoreLane(object string) (uint64, bool) {
	rest, ok := strings.CutPrefix(object, "lane ")
	text, _, _ := strings.Cut(rest, ",")
	lane, err := strconv.ParseUint(text, 10, 64)
	return lane, ok && err == nil && lane > 0 && lane <= rows.MaxLane
}

// restoreFrom reads from which entry on a restore looked at the log, out of the
// object of its entry.
func restoreFrom(object string) (uint64, bool) {
	at := strings.LastIndex(object, restoreOf)
	if at < 0 {
		return 0, false
	}
	from, err := strconv.ParseUint(object[at+len(restoreOf):], 10, 64)
	return from, err == nil
}

// restoredSpan is a part of the log that a restore brought nothing back of:
// behind from entries, and before the entry of the restore.
type restoredSpan struct{ from, by EntryNumber }

// searchOutbox looks for the entries of the copy's outbox before the backup's
// position: they were logged, and their rows not deleted yet. The first start
// logs what is found nowhere.
func (x *restore) searchOutbox(ctx context.Context) error {
	if len(x.outbox) == 0 {
		return nil
	}
	var oldest time.Time
	for id, row := range x.outbox {
		e, err := x.v.openOutbox(id[:], row)
		if err != nil {
			return err
		}
		if oldest.IsZero() || e.Time.Before(oldest) {
			oldest = e.Time
		}
	}
	oldest = oldest.Add(-searchSlack)
	var decoder audit.Decoder
	for to := x.report.From; to > x.log.First() && len(x.outbox) > 0; {
		from := max(x.log.First(), to-min(to, searchStep))
		older := true
		h := history{log: x.log}
		err := h.read(ctx, from, to, func(_ uint64, raw []byte) error {
			e, err := decoder.Decode(raw)
			if err == nil {
				delete(x.outbox, e.ID)
				older = older && e.Time.Before(oldest)
			}
			return err
		})
		if err != nil {
			return err
		}
		if older {
			return nil
		}
		to = from
	}
	return nil
}
