package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/bench"
)

func newBench() *cobra.Command {
	o := bench.Options{}
	var quick bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine: figures as ratios to floors taken in the same run",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if quick {
				o.Subjects, o.Rounds, o.Round = 100_000, 3, time.Second
			}
			if o.Subjects < 1000 || o.Rounds < 1 || o.Round <= 0 {
				return usageError{errors.New("want at least 1000 subjects, 1 round, and rounds longer than 0")}
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			if o.Dir, err = os.MkdirTemp("", "cloakroom-bench-"); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
			o.Command, o.Out = []string{self, "bench", "server"}, c.OutOrStdout()
			return bench.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&quick, "quick", false, "100,000 persons and 3 rounds of a second")
	f.IntVar(&o.Subjects, "subjects", 200_000, "persons to store")
	f.IntVar(&o.Rounds, "rounds", 5, "rounds of load and floor")
	f.DurationVar(&o.Round, "round", 2*time.Second, "length of a round of load")
	c.AddCommand(newBenchServer(), newBenchKeys())
	return c
}

// newBenchServer is the server process of the bench, which the bench starts.
func newBenchServer() *cobra.Command {
	return &cobra.Command{
		Use:    "server DIR SUBJECTS CACHE",
		Hidden: true,
		Args:   exactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			subjects, err := strconv.Atoi(args[1])
			if err != nil {
				return usageError{fmt.Errorf("SUBJECTS: %w", err)}
			}
			cache, err := strconv.Atoi(args[2])
			if err != nil {
				return usageError{fmt.Errorf("CACHE: %w", err)}
			}
			return bench.Serve(c.Context(), args[0], subjects, cache, c.InOrStdin(), c.OutOrStdout())
		},
	}
}
