package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/note"
)

// VerifyOptions of Verify. The zero value takes the key from the folder and
// knows no earlier checkpoint.
type VerifyOptions struct {
	// VerifierKey is the key that signs the log's checkpoints, in the form of
	// the file tlog/vkey, or several of them, one a line: one of them must have
	// signed the checkpoint, and one the checkpoint seen earlier. They are read
	// from the folder if empty, which shows nothing to who does not trust the
	// folder.
	VerifierKey string
	// Earlier is a signed checkpoint of this log that was seen earlier; it finds
	// a folder that was put back, and a log that was written anew.
	Earlier []byte
}

// Verify reads the log in dir and its tree and holds them against each other:
// every record and entry, every hash tile and bundle, the root and signature
// of the checkpoint, and a checkpoint seen earlier. Entries at the beginning
// may be missing when a later one says that they were pruned; their hashes may
// not. It only reads, and takes no
// lock, so that the log may be in use; entries written meanwhile may be left
// out.
//
// The first fault is an error that wraps ErrCorrupt: a *CorruptError for an
// entry, else one that wraps a *tree.TileError or *tree.CheckpointError. Other
// errors are ErrFormat, tree.ErrNoCheckpoint, tree.ErrKey, and those of the
// disk and ctx.
func Verify(ctx context.Context, dir string, o VerifyOptions) (*tree.Report, error) {
	dir = filepath.Clean(dir)
	if o.VerifierKey == "" {
		text, err := StoredKeys(dir)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: the log was never published, or its tree was taken away", tree.ErrNoCheckpoint)
		}
		if err != nil {
			return nil, err
		}
		o.VerifierKey = text
	}
	keys, err := tree.NewVerifiers(o.VerifierKey)
	if err != nil {
		return nil, err
	}
	for {
		w := &walker{files: &files{disk: osDisk{}, dir: dir}}
		report, err := w.verify(ctx, keys, o.Earlier)
		if err == nil || !w.overtaken() {
			return report, err
		}
	}
}

// StoredKeys reads the verifier keys that the folder of a log names, one a line,
// that of the first signer first. It shows nothing to who does not trust the
// folder. os.ErrNotExist when the log was never published, and the errors of the
// disk.
func StoredKeys(dir string) (string, error) {
	// A log that was last published before there could be several has the second.
	for _, name := range []string{tree.VerifierKeysName, tree.VerifierKeyName} {
		text, err := os.ReadFile(filepath.Join(dir, TreeDir, name))
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return string(text), err
		}
	}
	return "", os.ErrNotExist
}

// walker reads the entries of a log that another process may have open.
type walker struct {
	files   *files
	first   uint64   // the first entry that is kept
	firsts  []uint64 // segments seen
	size    uint64   // index after the last entry seen
	checker checker
}

var _ tree.Source = (*walker)(nil)

// verify reads and compares everything once.
func (w *walker) verify(ctx context.Context, keys []note.Verifier, earlier []byte) (report *tree.Report, err error) {
	if w.firsts, _, err = listSegments(w.files.disk, w.files.dir); err != nil {
		return nil, err
	}
	if len(w.firsts) > 0 {
		w.first = w.firsts[0]
	}
	dir := filepath.Join(w.files.dir, TreeDir)
	// After the segments were listed: what pruned them was covered before.
	covered, err := tree.NewReader(dir, keys...).Checkpoint()
	if err != nil {
		return nil, damage(err, w.firsts)
	}
	x := excuse{w.files.disk, w.files.dir, w.first, covered.Size, w.Read}
	if err := x.check(); err != nil {
		return nil, err
	}
	report, err = tree.Check(ctx, dir, w, keys, earlier)
	if err != nil {
		return nil, damage(err, w.firsts)
	}
	return report, nil
}

// overtaken reports whether the log was pruned since verify began, which then
// may have missed entries.
func (w *walker) overtaken() bool {
	firsts, _, err := listSegments(w.files.disk, w.files.dir)
	return err == nil && len(firsts) > 0 && firsts[0] > w.first
}

// First implements tree.Source.
func (w *walker) First() uint64 { return w.first }

// Size implements tree.Source; it is what the last Read has seen.
func (w *walker) Size() uint64 { return w.size }

// Read implements tree.Source, for a from that is there. Every record must be
// good and hold an entry; what an interrupted write may have left at the end is
// left out, as recovery does.
func (w *walker) Read(from uint64, fn func(index uint64, raw []byte) error) error {
	w.size = from
	for {
		// The list is read again after each segment: the one that was the last
		// may have been superseded meanwhile.
		var err error
		if w.firsts, _, err = listSegments(w.files.disk, w.files.dir); err != nil {
			return err
		}
		segment, until, ok := segmentOf(w.firsts, w.size)
		if !ok {
			return &CorruptError{Segment: segmentName(w.first), Index: w.size, Rule: "the segment is missing"}
		}
		last := segment == w.firsts[len(w.firsts)-1]
		if last {
			if until, err = w.end(segment); err != nil {
				return err
			}
		}
		err = w.files.read(segment, w.size, until, func(index uint64, raw []byte) error {
			if err := w.check(segment, index, raw); err != nil {
				return err
			}
			return fn(index, raw)
		})
		if err != nil {
			return err
		}
		if last {
			w.size = max(w.size, until)
			return nil
		}
		w.size = until
	}
}

// check holds that a record's payload is an entry.
func (w *walker) check(segment, index uint64, raw []byte) error {
	err := w.checker.check(index, raw)
	if errors.Is(err, ErrCorrupt) {
		return &CorruptError{Segment: segmentName(segment), Index: index, Rule: "the record does not hold an entry"}
	}
	return err
}

// end returns the index after the last good record of the last segment.
func (w *walker) end(first uint64) (uint64, error) {
	file, err := w.files.disk.Open(filepath.Join(w.files.dir, segmentName(first)), false)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }() // it is only read
	content, err := readAll(file)
	if err != nil {
		return 0, err
	}
	salt, err := parseHeader(content, first)
	if err != nil {
		return 0, err
	}
	t, err := findTail(content, first, salt)
	return t.next, err
}
