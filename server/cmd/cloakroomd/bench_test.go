package main_test

import (
	"regexp"
	"strings"
	"testing"
)

// benchRows are the figures of the table, by how their rows begin.
var benchRows = []string{
	"decision", "seal a value", "open a value",
	"batch of 1,000, keys in memory", "stream of 100s, keys in memory", "one token, 64 callers, keys in memory",
	"batch of 1,000, keys from disk", "stream of 100s, keys from disk", "one token, 64 callers, keys from disk",
	"one token, 1 callers, with the audit log", "one token, 16 callers, with the audit log",
	"one token, 64 callers, with the audit log", "one token, 256 callers, with the audit log",
	"entries in a published and indexed log", "size of an entry of one value", "index behind the log",
	"ordered durable writes, 64 callers", "new records of 3 values, 64 callers",
	"fsyncs a new record, 64 callers, values.db", "fsyncs a new record, 64 callers, keys.db", "fsyncs a new record, 64 callers, audit log",
}

// TestBenchTable runs the bench at its smallest and wants every row of the
// table with a figure in it. How fast it is, is not a matter of a test.
func TestBenchTable(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	r := run(t, []string{"TMPDIR=" + temp}, daemonPath, "bench", "--subjects", "1000", "--rounds", "1", "--round", "100ms").want(t, 0)
	figure := regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)
	for _, row := range benchRows {
		found := false
		for line := range strings.Lines(r.out) {
			if rest, ok := strings.CutPrefix(line, row); ok && figure.MatchString(rest) {
				found = true
			}
		}
		if !found {
			t.Errorf("the table has no row %q:\n%s", row, r.out)
		}
	}
	if strings.Contains(r.out, "NaN") || strings.Contains(r.out, "Inf") {
		t.Errorf("a figure is none:\n%s", r.out)
	}
	wantEmpty(t, temp)
}
