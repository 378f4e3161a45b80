package audit

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const pruneObject = "before "

// announced returns the index before which an entry says that entries were
// pruned, if it is one that does.
func announced(e *Entry) (before uint64, ok bool) {
	text, ok := strings.CutPrefix(e.Object, pruneObject)
	if !ok || e.Action != ActionPrune || e.Principal != prunePrincipal || e.Outcome != Allowed {
		return 0, false
	}
	before, err := strconv.ParseUint(text, 10, 64)
	return before, err == nil && strconv.FormatUint(before, 10) == text
}

// An excuse is how it is held that the entries before first are missing with
// right: because an entry says that they were pruned. Where there is a key this
// is not enough; package tree wants a signed note as well.
type excuse struct {
	disk  disk
	dir   string
	first uint64
	// limit is the index before which such an entry must stand. Where there is a
	// checkpoint it is what that covers: the log was not touched before, and
	// whoever adds a record to the files afterwards excuses nothing.
	limit uint64
	read  func(from uint64, fn func(uint64, []byte) error) error
}

// check looks for the entry where the hint says, and else reads the log until
// it is found. The first entry that is missing and in no such entry is a
// *CorruptError.
func (x *excuse) check() error {
	if x.first == 0 {
		return nil
	}
	var decoder Decoder
	var before uint64
	look := func(index uint64, raw []byte) error {
		if index >= x.limit {
			return errNotHere
		}
		e, err := decoder.Decode(raw)
		if err != nil {
			return nil //nolint:nilerr // what is no entry excuses nothing; Check and Verify name it
		}
		if n, ok := announced(e); ok {
			before = max(before, n)
		}
		if before >= x.first {
			return errFound
		}
		return nil
	}
	if index, ok := readHint(x.disk, x.dir); ok && index >= x.first {
		err := x.read(index, func(index uint64, raw []byte) error { return cmp.Or(look(index, raw), errNotHere) })
		if errors.Is(err, errFound) {
			return nil
		}
	}
	err := x.read(x.first, look)
	if errors.Is(err, errFound) {
		return nil
	}
	if err != nil && !errors.Is(err, errNotHere) {
		return err
	}
	return &CorruptError{
		Segment: segmentName(before), Index: before,
		Rule: fmt.Sprintf("is missing, as all before entry %d are, and no entry says that they were pruned", x.first),
	}
}

var (
	errFound   = errors.New("found")
	errNotHere = errors.New("not here")
)

// excused holds that what the log lacks at its beginning was pruned.
func (l *FileLog) excused(limit uint64) error {
	x := excuse{l.opts.disk, l.dir, l.First(), limit, l.Read}
	return x.check()
}
