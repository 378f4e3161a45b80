package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Options say what is measured.
type Options struct {
	Out      io.Writer
	Subjects int           // persons stored before the reveals
	Rounds   int           // of load and floor, each
	Round    time.Duration // how long the load of a round lasts
	Command  []string      // starts the server process; the directory is added
	Dir      string        // for temporary files
}

// Result is one figure.
type Result struct {
	Name   string
	Figure string  // what was measured
	Floor  string  // what it is compared with
	Ratio  float64 // median of the rounds; 0 when there is no floor
	Goal   string
}

// Run measures everything and prints a table.
func Run(ctx context.Context, o Options) error {
	var all []Result
	show := func(r ...Result) { all = append(all, r...) }
	micro, err := measureMicro(o)
	if err != nil {
		return fmt.Errorf("measure the parts: %w", err)
	}
	show(micro...)
	locks, err := measureLocks(ctx, o)
	if err != nil {
		return fmt.Errorf("measure the locks: %w", err)
	}
	show(locks...)
	for _, cached := range []bool{true, false} {
		results, err := measureReveals(ctx, o, cached)
		if err != nil {
			return fmt.Errorf("measure reveals: %w", err)
		}
		show(results...)
	}
	log, err := measureAudit(ctx, o)
	if err != nil {
		return fmt.Errorf("measure the audit log: %w", err)
	}
	show(log...)
	writes, err := measureWrites(ctx, o)
	if err != nil {
		return fmt.Errorf("measure writes: %w", err)
	}
	show(writes...)
	return print(o, all)
}

func print(o Options, all []Result) error {
	fmt.Fprintf(o.Out, "%d persons, %d rounds of %s; CPU is that of the server process\n\n", o.Subjects, o.Rounds, o.Round)
	w := tabwriter.NewWriter(o.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmeasured\tfloor\tratio\tgoal")
	for _, r := range all {
		ratio := ""
		if r.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Name, r.Figure, r.Floor, ratio, r.Goal)
	}
	return w.Flush()
}

// median of at least one number.
func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[len(sorted)/2]
}

// pairs collects rounds of a figure and its floor.
type pairs struct{ figures, floors, ratios []float64 }

func (p *pairs) add(figure, floor float64) {
	p.figures = append(p.figures, figure)
	p.floors = append(p.floors, floor)
	p.ratios = append(p.ratios, figure/floor)
}

func (p *pairs) result(name, unit, goal string) Result {
	return Result{
		Name: name, Goal: goal, Ratio: median(p.ratios),
		Figure: fmt.Sprintf("%.2f %s", median(p.figures), unit),
		Floor:  fmt.Sprintf("%.2f %s", median(p.floors), unit),
	}
}
