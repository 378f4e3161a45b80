package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/bench"
)

func newBenchKeys() *cobra.Command {
	o := bench.KeyOptions{}
	var quick bool
	c := &cobra.Command{
		Use:   "keys",
		Short: "Measure the work on keys: re-wrap, epochs, start, backup, disabling",
		Long: `Measure the work on keys: re-wrap, epochs, start, backup, disabling, and what
callers feel of it. Each section makes vaults of its own under TMPDIR, which
should be on the disk that is to be measured. An epoch of 10,000,000 persons
takes about 5 GB there.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if quick {
				o.Subjects, o.Rounds, o.Round, o.Persons, o.Versions = 50_000, 3, 2*time.Second, 200_000, 20
			}
			if err := checkBenchKeys(&o); err != nil {
				return usageError{err}
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			if o.Dir, err = os.MkdirTemp("", "cloakroom-bench-"); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
			o.Command, o.Out = []string{self, "bench", "keys"}, c.OutOrStdout()
			return bench.RunKeys(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&quick, "quick", false, "50,000 and 200,000 persons, 20 versions, and 3 rounds of 2 seconds")
	f.StringSliceVar(&o.Sections, "section", nil, "what to measure: "+strings.Join(bench.KeySections(), ", ")+" (default all)")
	f.IntVar(&o.Subjects, "subjects", 200_000, "persons with 3 values each to store")
	f.IntVar(&o.Persons, "persons", 1_000_000, "persons more whose keys the end of an epoch wraps anew")
	f.IntVar(&o.Fields, "fields", 1000, "fields of the vault whose start is measured")
	f.IntVar(&o.Versions, "versions", 100, "versions of the keys of each of these fields")
	f.IntVar(&o.Rounds, "rounds", 5, "rounds of work and floor")
	f.DurationVar(&o.Round, "round", 5*time.Second, "length of a round of load")
	f.StringVar(&o.JSON, "json", "", "a file for the figures, as JSON")
	c.AddCommand(newBenchKeysServer(), newBenchKeysOpen())
	return c
}

func checkBenchKeys(o *bench.KeyOptions) error {
	if o.Subjects < 1000 || o.Rounds < 1 || o.Round <= 0 || o.Persons < 0 || o.Fields < 1 || o.Fields > 4000 || o.Versions < 1 || o.Versions > 1000 {
		return errors.New("want at least 1000 subjects, 1 round, rounds longer than 0, no less than 0 persons, 1 to 4000 fields and 1 to 1000 versions")
	}
	for _, name := range o.Sections {
		if !slices.Contains(bench.KeySections(), name) {
			return fmt.Errorf("--section: want some of %s", strings.Join(bench.KeySections(), ", "))
		}
	}
	return nil
}

// newBenchKeysServer is the server process of the bench, which the bench starts.
func newBenchKeysServer() *cobra.Command {
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
			return bench.ServeKeys(c.Context(), args[0], subjects, cache, c.InOrStdin(), c.OutOrStdout())
		},
	}
}

// newBenchKeysOpen is the process that opens vaults, to see what that takes.
func newBenchKeysOpen() *cobra.Command {
	return &cobra.Command{
		Use:    "open TURNS TURN DIR...",
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) < 3 {
				return usageError{fmt.Errorf("usage: %s", c.UseLine())}
			}
			turns, err := strconv.Atoi(args[0])
			if err != nil || turns < 0 {
				return usageError{errors.New("TURNS: want a number")}
			}
			turn, err := time.ParseDuration(args[1])
			if err != nil || turn <= 0 {
				return usageError{errors.New("TURN: want a duration above 0")}
			}
			return bench.OpenKeys(c.Context(), args[2:], turns, turn, c.OutOrStdout())
		},
	}
}
