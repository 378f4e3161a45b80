package policy_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

var update = flag.Bool("update", false, "write the problems found in testdata/bad beside the documents")

// Every document of testdata/bad has mistakes; the problems expected stand
// beside it, one a line.
func TestBadDocuments(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			problems := problemsOf(t, read(t, file))
			var b strings.Builder
			for _, p := range problems {
				fmt.Fprintln(&b, p)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, golden)), b.String()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// problemsOf returns the problems of a document that must have some.
func problemsOf(t *testing.T, doc []byte) policy.Problems {
	t.Helper()
	f, err := policy.Parse(doc)
	var problems policy.Problems
	if f != nil || !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("a document with mistakes was accepted, or refused without Problems: %v", err)
	}
	lines := strings.Count(string(doc), "\n") + 1
	last := 1
	for _, p := range problems {
		if p.Line < last || p.Line > lines || p.Message == "" {
			t.Errorf("not in the order of a document of %d lines: %v", lines, p)
		}
		last = p.Line
		if !strings.Contains(err.Error(), p.String()) {
			t.Errorf("the error leaves out: %v", p)
		}
	}
	return problems
}

func TestProblemsRepeatNoValues(t *testing.T) {
	for _, p := range problemsOf(t, read(t, "testdata/bad/canary.yaml")) {
		for _, secret := range []string{"trantow", "4876869379361", "12318833107"} {
			if strings.Contains(strings.ToLower(p.String()), secret) {
				t.Errorf("a problem repeats what was written: %v", p)
			}
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	doc := "version: 1\n" + strings.Repeat("? x\n", 5000)
	problems := problemsOf(t, []byte(doc))
	if n := len(problems); n != 501 || !strings.Contains(problems[n-1].Message, "more mistakes") {
		t.Errorf("%d problems, the last: %v", n, problems[n-1])
	}
}

func TestDocumentSize(t *testing.T) {
	doc := read(t, decisions)
	fits := append(doc, []byte("#"+strings.Repeat("x", policy.MaxDocument-len(doc)-1))...)
	parse(t, fits)
	problems := problemsOf(t, append(fits, 'x'))
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "1048576 bytes") {
		t.Errorf("%v", problems)
	}
}
