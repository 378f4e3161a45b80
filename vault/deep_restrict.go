package vault

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// restrictions are the freezes and honey marks that the log tells of. A number
// is given out once, so the order of entries says nothing: what was ended once
// is over.
type restrictions map[numbered]toldOf

// numbered is a row of rows.Freezes or rows.Honey.
type numbered struct {
	table  uint8
	number uint64
}

func (a numbered) compare(b numbered) int {
	return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.number, b.number))
}

// toldOf are the entries that began and ended one; 0 for none.
type toldOf struct{ begun, ended EntryNumber }

// note takes an entry. Entries that name no number end and begin nothing.
func (r restrictions) note(e *audit.Entry, n EntryNumber) {
	at, ends := numbered{table: rows.Freezes}, e.Action == audit.ActionThaw
	ok := false
	if e.Action == audit.ActionHoney {
		at.table = rows.Honey
		at.number, ends, ok = honeyObject(e.Object)
	} else {
		at.number, ok = freezeObject(e.Object)
	}
	if !ok {
		return
	}
	t := r[at]
	if ends {
		t.ended = n
	} else {
		t.begun = n
	}
	r[at] = t
}

// freezeSuffix stands before the number at the end of the object of an entry.
const freezeSuffix = ", freeze "

// object says in an entry which freeze it is about: "role support, freeze 12".
func (f *storedFreeze) object(target string) string {
	return target + freezeSuffix + strconv.FormatUint(f.number, 10)
}

func freezeObject(object string) (number uint64, ok bool) {
	i := strings.LastIndex(object, freezeSuffix)
	if i < 0 {
		return 0, false
	}
	number, err := strconv.ParseUint(object[i+len(freezeSuffix):], 10, 64)
	return number, err == nil
}

// honeyObject reads "mark 12", "mark 12, refuse" and "unmark 12".
func honeyObject(object string) (number uint64, ends, ok bool) {
	rest, ends := strings.CutPrefix(object, "unmark ")
	if !ends {
		if rest, ok = strings.CutPrefix(object, "mark "); !ok {
			return 0, false, false
		}
		rest, _ = strings.CutSuffix(rest, ", refuse")
	}
	number, err := strconv.ParseUint(rest, 10, 64)
	return number, ends, err == nil
}

// checkRestrictions compares freezes and honey marks with the log, and with the
// guard.
func (c *deep) checkRestrictions(ctx context.Context) error {
	opens := true
	freezes, honey, err := c.v.loadRestrictions(ctx, func(at numbered, err error) error {
		t := c.told[at]
		delete(c.told, at)
		f := Finding{Number: at.number, Last: max(t.begun, t.ended)}
		switch {
		case err != nil:
			opens = false
			f.Kind = of(at, FreezeClosed, HoneyClosed)
		case t.ended != 0:
			f.Kind, f.Last = of(at, FreezeOlder, HoneyOlder), t.ended
		case t.begun != 0:
			return nil
		case !c.whole:
			c.report.Older++
			return nil
		default:
			f.Kind = of(at, FreezeUnwritten, HoneyUnwritten)
		}
		c.find(f)
		return nil
	})
	if err != nil {
		return err
	}
	for _, at := range slices.SortedFunc(maps.Keys(c.told), numbered.compare) {
		if t := c.told[at]; t.ended == 0 {
			c.find(Finding{Kind: of(at, FreezeMissing, HoneyMissing), Number: at.number, Last: t.begun})
		}
	}
	_, row, err := c.v.fitting(ctx)
	if err != nil || !opens {
		return err
	}
	err = c.v.checkGuard(ctx, row, freezes, honey)
	if errors.Is(err, store.ErrCorrupt) {
		c.find(Finding{Kind: GuardBroken})
		return nil
	}
	return err
}

func of(at numbered, freeze, honey FindingKind) FindingKind {
	if at.table == rows.Honey {
		return honey
	}
	return freeze
}
