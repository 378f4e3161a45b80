package house_test

import (
	"os"
	"testing"
)

// violation is a place that breaks a rule.
type violation struct {
	at   string // path, or path:line
	what string
}

// A rule finds every place that breaks it.
type rule struct {
	name string
	find func(*tree) []violation
}

var rules = []rule{
	{"import table", importTable},
	{"modules of others", modulesOfOthers},
	{"vault/store is plain", storeIsPlain},
	{"testing stays out", testingStaysOut},
	{"the command line is light", commandLineIsLight},
	{"no init", noInit},
	{"no sleep", noSleep},
	{"no exit", noExit},
	{"no skip", noSkip},
	{"short files", shortFiles},
	{"documented", documented},
	{"finished", finished},
	{"nouns", nouns},
	{"top level", topLevel},
}

func TestHouse(t *testing.T) {
	source, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(source.files) < 100 {
		t.Fatalf("only %d files: the wrong folder?", len(source.files))
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, v := range r.find(source) {
				t.Errorf("%s: %s", v.at, v.what)
			}
		})
	}
}
