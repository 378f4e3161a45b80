package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// errUnsound: a check of a vault found faults that are still there.
var errUnsound = errors.New("the vault is not sound")

func newFsck() *cobra.Command {
	var path string
	var o daemon.FsckOptions
	c := &cobra.Command{
		Use:   "fsck --config FILE [--deep] [--rows-only] [--repair]",
		Short: "Check everything that is stored, and repair what can be derived",
		Long: `Check everything that is stored in the vault that --config names: the structures
of the files, the form of every row, whether all that is sealed opens at its place,
and whether what says the same thing twice agrees: persons and their keys, records
and values, the members of collections, the ledger of erasures, and the rows by
which calls are decided. Values are not opened: only their outer lock is.

With --deep the ids that callers gave their people are opened, in memory only, and
each person is looked up by it.

A daemon that serves the vault makes the check, gives way to callers, and goes on
serving. While it checks the structures of the files, writes wait: about a second
for each few million rows; --rows-only leaves that out. When nobody serves, the
directory is opened, also one of a vault that would not start.

With --repair what can be derived is put right, and the audit log says that it was:
the members of collections, the count of a person's records, keys that have no
person, the look-up of persons (with --deep), and the index of the audit log (when
nobody serves). Nothing else is changed; what is lost comes back from a backup.

"audit verify --deep" compares what is stored with the audit log. Exit code 0 says
that everything is sound now, 1 that it is not, or cannot be checked.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			bar := newStages(c.ErrOrStderr())
			defer bar.end()
			told := uint64(0)
			o.Progress = bar.at
			o.Found = func(f vault.FsckFinding) {
				bar.end()
				told++
				fmt.Fprintln(out, f)
			}
			begun := time.Now()
			r, err := daemon.Fsck(c.Context(), cfg, o, newLogger(cfg.Log, c.ErrOrStderr()))
			bar.end()
			if err != nil {
				return err
			}
			if r.Findings > told {
				fmt.Fprintf(out, "and %d more\n", r.Findings-told)
			}
			printFsck(out, r, time.Since(begun))
			if r.Left() > 0 {
				return fmt.Errorf("%w: %d faults are left", errUnsound, r.Left())
			}
			return nil
		},
	}
	c.Flags().StringVarP(&path, "config", "c", "", "the configuration file (required)")
	c.Flags().BoolVar(&o.Deep, "deep", false, "open the ids of persons, and look each up")
	c.Flags().BoolVar(&o.RowsOnly, "rows-only", false, "leave out the structures of the files")
	c.Flags().BoolVar(&o.Repair, "repair", false, "put right what can be derived")
	_ = c.MarkFlagRequired("config")
	return c
}

func printFsck(w io.Writer, r *daemon.FsckReport, took time.Duration) {
	by := "this command; nobody serves the vault"
	if r.Online {
		by = "the daemon that serves it"
	}
	verdict := "the vault is sound"
	if r.Left() > 0 {
		verdict = errUnsound.Error()
	}
	rate := float64(r.Rows) / max(r.Took.Seconds(), 1e-3)
	fmt.Fprintf(w, `%s
  checked by      %s
  faults          %d, of them repaired %d
  persons         %d, of them erased %d, with %d keys
  records         %d, and %d lines in collections
  values          %d
  not compared    %d values and ids under a key that is out of use
  spare keys      %d
  unfinished      %d erasures and entries, which a start brings to their end
  took            %s, %.0f rows a second
`, verdict, by, r.Findings, r.Repaired, r.Persons, r.Erased, r.Keys, r.Records, r.Members, r.Cells, r.Unread, r.SpareKeys,
		r.Unfinished, took.Round(time.Millisecond), rate)
	if r.Unsettled > 0 {
		fmt.Fprintf(w, "note: %d persons changed each time they were looked at; nothing is said of them\n", r.Unsettled)
	}
}
