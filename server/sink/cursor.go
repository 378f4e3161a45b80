package sink

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	cursorFormat = 1
	maxCursor    = 4 << 10 // bytes of the file
)

// cursor is how far a sink came.
type cursor struct {
	index   uint64   // the entry that comes next
	last    [16]byte // id of the entry before it
	hasLast bool
}

// cursorText is the cursor on disk.
type cursorText struct {
	Format int    `json:"format"`
	Index  uint64 `json:"index"`
	Last   string `json:"last,omitempty"`
}

// loadCursor reads a cursor file; there is none when found is false.
func loadCursor(path string) (c cursor, found bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("%w: %w", ErrCursor, err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(f, maxCursor+1))
	if err != nil {
		return c, false, fmt.Errorf("%w: %w", ErrCursor, err)
	}
	if c, err = parseCursor(text); err != nil {
		return c, false, fmt.Errorf("%w %s: %w; when it is removed, the sink begins as a new one", ErrCursor, path, err)
	}
	return c, true, nil
}

// parseCursor reads the content of a cursor file, strictly.
func parseCursor(text []byte) (cursor, error) {
	if len(text) > maxCursor {
		return cursor{}, fmt.Errorf("more than %d bytes", maxCursor)
	}
	var t cursorText
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return cursor{}, errors.New("not a JSON object of format, index and last")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return cursor{}, errors.New("something follows the JSON object")
	}
	if t.Format != cursorFormat {
		return cursor{}, fmt.Errorf("format %d, want %d", t.Format, cursorFormat)
	}
	c := cursor{index: t.Index}
	if t.Last == "" {
		return c, nil
	}
	if len(t.Last) != hex.EncodedLen(len(c.last)) || c.index == 0 {
		return cursor{}, errors.New("last: want 32 hexadecimal digits, and an index above 0")
	}
	if _, err := hex.Decode(c.last[:], []byte(t.Last)); err != nil {
		return cursor{}, errors.New("last: not hexadecimal")
	}
	c.hasLast = true
	return c, nil
}

func (c cursor) text() ([]byte, error) {
	t := cursorText{Format: cursorFormat, Index: c.index}
	if c.hasLast {
		t.Last = hex.EncodeToString(c.last[:])
	}
	b, err := json.Marshal(t)
	return append(b, '\n'), err
}

// save replaces the cursor file. With named its name is durable too.
func (c cursor) save(path string, named bool) (err error) {
	text, err := c.text()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	// One name, so that crashes leave one file at most; a cursor has one follower.
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCursor, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("%w: %w", ErrCursor, err)
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if named {
		return syncDir(dir)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
