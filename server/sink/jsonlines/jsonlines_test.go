package jsonlines_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/jsonlines"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batch is entries from index from on, n of them.
func batch(from, n int) (all []sink.Entry) {
	for i := from; i < from+n; i++ {
		all = append(all, sink.Entry{Index: uint64(i), JSON: fmt.Appendf(nil, `{"index":%d}`, i)})
	}
	return all
}

// lines is what a file with these entries holds.
func lines(from, n int) string {
	var b strings.Builder
	for _, e := range batch(from, n) {
		b.Write(e.JSON)
		b.WriteByte('\n')
	}
	return b.String()
}

func open(t *testing.T, path string) *jsonlines.Target {
	t.Helper()
	target, err := jsonlines.Open(path)
	must(t, err)
	t.Cleanup(func() { must(t, target.Close()) })
	return target
}

func deliver(t *testing.T, target *jsonlines.Target, from, n int) {
	t.Helper()
	must(t, target.Deliver(t.Context(), batch(from, n)))
}

func want(t *testing.T, path, text string) {
	t.Helper()
	got, err := os.ReadFile(path)
	must(t, err)
	if string(got) != text {
		t.Errorf("%s holds %q, want %q", filepath.Base(path), got, text)
	}
}

func TestAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	must(t, jsonlines.Check(path))
	target := open(t, path)
	must(t, jsonlines.Check(path))
	deliver(t, target, 0, 3)
	deliver(t, target, 3, 1)
	want(t, path, lines(0, 4))
	must(t, target.Close())
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %o", info.Mode())
	}
	deliver(t, open(t, path), 4, 2)
	want(t, path, lines(0, 6))
}

// What an interrupted write left is cut, so that every line is whole.
func TestTornLine(t *testing.T) {
	long := strings.Repeat("x", 200_000) // more than is read at once
	for name, test := range map[string]struct{ left, stays string }{
		"nothing torn":       {lines(0, 2), lines(0, 2)},
		"a line torn":        {lines(0, 2) + `{"ind`, lines(0, 2)},
		"only a torn line":   {`{"ind`, ""},
		"a long line torn":   {lines(0, 2) + long, lines(0, 2)},
		"a long line whole":  {lines(0, 2) + long + "\n", lines(0, 2) + long + "\n"},
		"zeros":              {lines(0, 2) + "\x00\x00\x00", lines(0, 2)},
		"a line break alone": {"\n", "\n"},
		"at the read's edge": {lines(0, 1) + strings.Repeat("y", 64<<10), lines(0, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			must(t, os.WriteFile(path, []byte(test.left), 0o600))
			target := open(t, path)
			want(t, path, test.stays)
			deliver(t, target, 9, 1)
			want(t, path, test.stays+lines(9, 1))
		})
	}
}

func TestRotation(t *testing.T) {
	for name, rotate := range map[string]func(t *testing.T, path string){
		"renamed": func(t *testing.T, path string) { must(t, os.Rename(path, path+".1")) },
		"renamed and made new": func(t *testing.T, path string) {
			must(t, os.Rename(path, path+".1"))
			must(t, os.WriteFile(path, nil, 0o600))
		},
		"another moved there": func(t *testing.T, path string) {
			must(t, os.Link(path, path+".1"))
			must(t, os.WriteFile(path+".new", []byte("{\"torn"), 0o640))
			must(t, os.Rename(path+".new", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			target := open(t, path)
			deliver(t, target, 0, 2)
			rotate(t, path)
			deliver(t, target, 2, 2)
			deliver(t, target, 4, 1)
			want(t, path+".1", lines(0, 2))
			want(t, path, lines(2, 3))
		})
	}
}

func TestFailedWrite(t *testing.T) {
	broken := errors.New("no space")
	for name, test := range map[string]struct {
		write, sync error
		left        int
	}{
		"nothing written":    {broken, nil, 0},
		"half a line":        {broken, nil, 5},
		"whole lines":        {broken, nil, len(lines(3, 2))},
		"sync after a write": {nil, broken, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			target := open(t, path)
			deliver(t, target, 0, 3)
			target.Failing(test.write, test.sync, test.left)
			if err := target.Deliver(t.Context(), batch(3, 4)); !errors.Is(err, broken) {
				t.Fatalf("err = %v", err)
			}
			want(t, path, lines(0, 3))
			deliver(t, target, 3, 4)
			want(t, path, lines(0, 7))
		})
	}
}

func TestFolderAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "audit.jsonl")
	target := open(t, path)
	deliver(t, target, 0, 1)
	must(t, os.Rename(dir, dir+".away"))
	for range 2 {
		if err := target.Deliver(t.Context(), batch(1, 1)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("err = %v", err)
		}
	}
	must(t, os.Rename(dir+".away", dir))
	deliver(t, target, 1, 1)
	want(t, path, lines(0, 2))
}

func TestRefused(t *testing.T) {
	for name, place := range map[string]func(t *testing.T, path string){
		"a folder":             func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) },
		"a link":               func(t *testing.T, path string) { must(t, os.Symlink("other", path)) },
		"a pipe":               func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) },
		"all may read":         func(t *testing.T, path string) { empty(t, path, 0o604) },
		"the group may write":  func(t *testing.T, path string) { empty(t, path, 0o620) },
		"nobody made a folder": func(*testing.T, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			place(t, path)
			if name == "nobody made a folder" {
				path = filepath.Join(path, "x")
			}
			if err := jsonlines.Check(path); !errors.Is(err, jsonlines.ErrFile) && name != "nobody made a folder" {
				t.Errorf("Check: err = %v", err)
			}
			if _, err := jsonlines.Open(path); !errors.Is(err, jsonlines.ErrFile) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func empty(t *testing.T, path string, mode fs.FileMode) {
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Chmod(path, mode))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
