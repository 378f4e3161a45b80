package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// KeyOptions say what is measured of the work on keys. Command starts a process
// of the bench when "server" or "open" and their arguments are added.
type KeyOptions struct {
	Options
	Sections []string // of KeySections; none means all
	Persons  int      // whose keys the end of an epoch wraps anew, besides those of Subjects
	Fields   int      // of the vault whose start is measured
	Versions int      // of each of its fields
	JSON     string   // a file for the figures; empty means none
}

// KeyFigures are the figures of a section.
type KeyFigures struct {
	Section string
	Seconds float64 // that the section took
	Results []Result
}

type keySection struct {
	name    string
	measure func(context.Context, *KeyOptions) ([]Result, error)
}

// allKeySections are the sections in the order in which they run.
func allKeySections() []keySection {
	return []keySection{
		{"rewrap", measureRewrap},
		{"callers", measureRewrapCallers},
		{"epoch", measureEpoch},
		{"start", measureStart},
		{"backup", measureBackup},
		{"disable", measureDisable},
	}
}

// KeySections returns the names of the sections of RunKeys.
func KeySections() []string {
	var names []string
	for _, s := range allKeySections() {
		names = append(names, s.name)
	}
	return names
}

// RunKeys measures the work on keys and prints a table for each section as soon
// as it is done. The floors: for the re-wrap and the end of an epoch one scan
// with the same cryptography and commits of puts, in an engine of the same kind;
// for a backup a copy of the files, for a restore its rows written to empty
// stores; for a start with old versions one without; for callers themselves
// before and after. The callers run in this process and the vault in another,
// on the same machine.
func RunKeys(ctx context.Context, o KeyOptions) error {
	fmt.Fprintf(o.Out, "%d persons, %d rounds of %s; epochs of %d persons more; %d fields of %d versions; %s, %d CPUs\n",
		o.Subjects, o.Rounds, o.Round, o.Persons, o.Fields, o.Versions, runtime.Version(), runtime.GOMAXPROCS(0))
	var all []KeyFigures
	for _, s := range allKeySections() {
		if len(o.Sections) > 0 && !slices.Contains(o.Sections, s.name) {
			continue
		}
		begun := time.Now()
		results, err := s.measure(ctx, &o)
		if err != nil {
			return fmt.Errorf("measure %s: %w", s.name, err)
		}
		f := KeyFigures{Section: s.name, Seconds: time.Since(begun).Seconds(), Results: results}
		if err := printKeys(&o, &f); err != nil {
			return err
		}
		all = append(all, f)
	}
	return writeKeys(&o, all)
}

func printKeys(o *KeyOptions, f *KeyFigures) error {
	fmt.Fprintf(o.Out, "\n%s (%.0f s)\n", f.Section, f.Seconds)
	w := tabwriter.NewWriter(o.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmeasured\tfloor\tratio\tgoal")
	for _, r := range f.Results {
		ratio := ""
		if r.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, r.Figure, r.Floor, ratio, r.Goal)
	}
	return w.Flush()
}

// writeKeys writes the figures to the file that the options name.
func writeKeys(o *KeyOptions, all []KeyFigures) error {
	if o.JSON == "" {
		return nil
	}
	text, err := json.MarshalIndent(struct {
		Go                string
		CPUs              int
		Subjects, Persons int
		Fields, Versions  int
		Rounds            int
		RoundSeconds      float64
		Sections          []KeyFigures
	}{
		runtime.Version(), runtime.GOMAXPROCS(0), o.Subjects, o.Persons, o.Fields, o.Versions, o.Rounds, o.Round.Seconds(), all,
	}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(o.JSON, append(text, '\n'), 0o600)
}

// process starts the server process of a section.
func (o *KeyOptions) process(ctx context.Context) (*process, error) {
	of := o.Options
	of.Command = append(slices.Clone(o.Command), "server")
	return start(ctx, of, 2*o.Subjects+1000)
}
