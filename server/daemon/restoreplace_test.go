package daemon_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

// files returns what the stores of a folder hold, by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, path := range found {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(path)] = string(content)
	}
	return out
}

// A restore that stops before any step has happened wholly or not at all, and
// what stood there before is kept.
func TestPlaceStopsAnywhere(t *testing.T) {
	restored := map[string]string{"keys.db": "new keys", "values.db": "new values", "values.scattered.db": "new scattered"}
	for name, old := range map[string]map[string]string{
		"over a vault":  {"keys.db": "old keys", "values.db": "old values", "values.scattered.db": "old scattered", "index.db": "old index"},
		"over a part":   {"values.db": "old values"},
		"over nothing":  {},
		"over an index": {"index.db": "old index"},
	} {
		t.Run(name, func(t *testing.T) {
			stopped := errors.New("stopped")
			for steps := 0; ; steps++ {
				dir := t.TempDir()
				write := func(at string, all map[string]string) {
					for name, content := range all {
						if err := os.WriteFile(filepath.Join(at, name), []byte(content), 0o600); err != nil {
							t.Fatal(err)
						}
					}
				}
				write(dir, old)
				staging := filepath.Join(dir, "restore.tmp")
				if err := os.Mkdir(staging, 0o700); err != nil {
					t.Fatal(err)
				}
				write(staging, restored)
				n, last := 0, ""
				_, err := daemon.PlaceRestored(dir, func(step string) error {
					if n++; n > steps {
						last = step
						return stopped
					}
					return nil
				})
				if err != nil && !errors.Is(err, stopped) {
					t.Fatal(err)
				}
				happened := steps > 0 // the first step is the one that says so
				for range 2 {         // the next start, and the one after
					if _, err := daemon.MovePlaced(dir); err != nil {
						t.Fatalf("after a stop before %q: %v", last, err)
					}
				}
				want := old
				if happened {
					want = restored
				}
				if got := files(t, dir); !maps.Equal(got, want) {
					t.Fatalf("stopped before %q: the directory holds %v, want %v", last, got, want)
				}
				aside, globErr := filepath.Glob(filepath.Join(dir, "before-restore-*"))
				if globErr != nil {
					t.Fatal(globErr)
				}
				switch {
				case !happened || len(old) == 0:
					if len(aside) != 0 {
						t.Fatalf("there is %q", aside)
					}
				case len(aside) != 1 || !maps.Equal(files(t, aside[0]), old):
					t.Fatalf("stopped before %q: the old stores are in %q", last, aside)
				}
				if err == nil {
					if steps < 4 {
						t.Errorf("only %d steps", steps)
					}
					return
				}
			}
		})
	}
}

// What says that a restore has happened moves nothing outside the directory.
func TestPlacedNamesAreHeldToTheDirectory(t *testing.T) {
	for _, text := range []string{
		"", "{}", `{"aside":"before-restore-x/../../y","old":["keys.db"]}`, `{"aside":"elsewhere","old":[],"restored":[]}`,
		`{"aside":"before-restore-x","old":["../keys.db"]}`, `{"aside":"before-restore-x","restored":["/etc/keys.db"]}`, `{"aside":"before-restore-x","restored":[""]}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "restore.done"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := daemon.MovePlaced(dir); err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestOpenRefusesAnUnfinishedRestore(t *testing.T) {
	c := initialised(t)
	for _, name := range []string{"restore.tmp"} {
		path := filepath.Join(c.Directory, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		for what, open := range map[string]func() error{
			"Open": func() error { _, err := daemon.Open(t.Context(), c, quiet); return err },
			"Deep": func() error { _, err := daemon.Deep(t.Context(), c, daemon.DeepOptions{}, quiet); return err },
		} {
			if err := open(); !errors.Is(err, daemon.ErrRestoring) || !strings.Contains(fmt.Sprint(err), name) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
