package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// benchKeysRows are the figures of each section, by how their rows begin.
var benchKeysRows = map[string][]string{
	"rewrap": {
		"re-wrap after the rotation of 1 field of 3 / bare loop", "re-wrap after the rotation of 1 field of 3, without",
		"re-wrap after the rotation of 3 fields of 3 / bare loop",
	},
	"callers": {
		"reveals of 100 values, 8 callers during a re-wrap", "reveals of 1 value, 64 callers during a re-wrap",
		"new records of 3 values, 64 callers during a re-wrap", "a re-wrap meanwhile, new records",
	},
	"epoch": {
		"end of an epoch / bare loop", "bare unwrap and wrap, without a store", "filling keys.db",
		"reveals of 100 values, 8 callers during the end of an epoch", "the end of an epoch meanwhile, new records",
	},
	"start": {
		"opening, 12 fields of 4 versions / of 1 version", "resident memory after opening", "live heap after opening",
		"reveals of 100, newest of many versions", "reveals of 100, oldest version / newest", "keys.db with",
	},
	"backup": {
		"backup, written and opened again / copy of the files", "reveals of 100 values, 8 callers during backups",
		"restore / bare load of the rows",
	},
	"disable": {
		"from disabling to the first refusal", "from disabling to its answer", "messages sent after that answer and not refused",
	},
}

// TestBenchKeys runs each section at its smallest and wants every row of its
// table with a figure, the same in the file, and nothing left behind. How fast
// it is, is not a matter of a test; that a disabled key reveals nothing is.
func TestBenchKeys(t *testing.T) {
	t.Parallel()
	figure := regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)
	for section, rows := range benchKeysRows {
		t.Run(section, func(t *testing.T) {
			t.Parallel()
			temp, file := t.TempDir(), filepath.Join(t.TempDir(), "figures.json")
			r := run(t, []string{"TMPDIR=" + temp}, daemonPath, "bench", "keys", "--section", section, "--subjects", "1000",
				"--persons", "2000", "--fields", "12", "--versions", "4", "--rounds", "1", "--round", "150ms", "--json", file).want(t, 0)
			wantEmpty(t, temp)
			if strings.Contains(r.out, "NaN") || strings.Contains(r.out, "Inf") {
				t.Errorf("a figure is none:\n%s", r.out)
			}
			text, err := os.ReadFile(file)
			check(t, err)
			var figures struct {
				Sections []struct {
					Section string
					Results []struct{ Name, Figure string }
				}
			}
			check(t, json.Unmarshal(text, &figures))
			if len(figures.Sections) != 1 || figures.Sections[0].Section != section {
				t.Fatalf("the file has other sections:\n%s", text)
			}
			for _, row := range rows {
				inTable, inFile := "", ""
				for line := range strings.Lines(r.out) {
					if rest, ok := strings.CutPrefix(line, row); ok {
						inTable = rest
					}
				}
				for _, f := range figures.Sections[0].Results {
					if strings.HasPrefix(f.Name, row) {
						inFile = f.Figure
					}
				}
				if !figure.MatchString(inTable) || !figure.MatchString(inFile) {
					t.Errorf("row %q: %q in the table, %q in the file:\n%s", row, inTable, inFile, r.out)
				}
				if strings.HasPrefix(row, "messages sent after") && inFile != "0" {
					t.Errorf("%s messages were answered with values after the key was disabled", inFile)
				}
			}
		})
	}
}

func TestBenchKeysUsage(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"x", "--section nope", "--subjects 1", "--rounds 0", "--round 0s", "--persons -1", "--fields 0", "--versions 0",
		"server a", "server a b c", "open 1 1s", "open x 1s a", "open 1 0s a",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			run(t, nil, daemonPath, append([]string{"bench", "keys"}, strings.Fields(args)...)...).want(t, 2, "cloakroomd: ", "--help")
		})
	}
}
