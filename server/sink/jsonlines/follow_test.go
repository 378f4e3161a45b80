package jsonlines_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/jsonlines"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// The whole way, from a log on disk to the file: through restarts, a rotation,
// a cursor that is older than what was delivered and a torn line, every entry is
// there, in order, and only what a crash left uncertain is there twice.
func TestFollowsALog(t *testing.T) {
	dir := t.TempDir()
	path, cursor := filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "lake.json")
	log, err := audit.Open(filepath.Join(dir, "log"), audit.Options{SegmentSize: 4 << 10}) // several segments
	must(t, err)
	defer log.Close()
	follow := func() *sink.Follower {
		target, err := jsonlines.Open(path)
		must(t, err)
		f, err := sink.Start(sink.Options{
			Name: "lake", Target: target, Cursor: cursor, Begin: sink.AtEnd, Logger: slog.New(slog.DiscardHandler),
			Feed: sink.NewFeed(log, func(index uint64, e *audit.Entry) ([]byte, error) {
				return fmt.Appendf(nil, `{"index":%d,"request":%q}`, index, e.Request), nil
			}),
		})
		must(t, err)
		return f
	}
	appended := 0
	more := func(n int) {
		var last audit.Receipt
		for range n {
			last = log.Append(&audit.Entry{Action: audit.ActionReveal, Outcome: audit.Allowed, Request: fmt.Sprint("r", appended)})
			appended++
		}
		_, err := last.Wait(t.Context())
		must(t, err)
	}
	run := func(n int) {
		f := follow()
		more(n)
		must(t, f.Stop(t.Context()))
	}

	run(300)
	more(50) // while nobody follows
	run(10)
	must(t, os.Rename(path, path+".1"))
	run(40)
	before, err := os.ReadFile(cursor)
	must(t, err)
	run(100)
	// A crash: the file got lines, the last of them in part, and the cursor not.
	must(t, os.WriteFile(cursor, before, 0o600))
	content, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, content[:len(content)-5], 0o600))
	run(7)

	rotated, err := os.ReadFile(path + ".1")
	must(t, err)
	content, err = os.ReadFile(path)
	must(t, err)
	var want []int
	for i := range 499 { // 300+50+10+40+100, the last of them torn
		want = append(want, i)
	}
	for i := 400; i < appended; i++ {
		want = append(want, i)
	}
	lines := strings.Split(strings.TrimSuffix(string(rotated)+string(content), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		if line != fmt.Sprintf(`{"index":%d,"request":"r%d"}`, want[i], want[i]) {
			t.Fatalf("line %d is %s, want entry %d", i, line, want[i])
		}
	}
}
