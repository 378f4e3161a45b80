package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

// errUnsound: a check of a vault found faults that are still there.
var errUnsound = errors.New("the vault is not sound")

func newFsck() *cobra.Command {
	var path string
	var repair bool
	c := &cobra.Command{
		Use:   "fsck --config FILE [--repair]",
		Short: "Check everything that is stored, and repair what can be derived",
		Long: `Check everything that is stored in the vault that --config names: the structures
of the files, the form of every row, whether all that is sealed opens at its place,
and whether what says the same thing twice agrees: persons and their keys, records
and values, the members of collections, the look-up by id, the ledger of erasures.
Values are not opened. A daemon that serves the vault makes the check, and goes on
serving; otherwise the directory is opened, also when the daemon would not start.

With --repair what can be derived is put right: the members of collections, the
look-up, the counts of records, keys without a person (when nobody serves), the
index of the audit log. Nothing else is changed.

"audit verify --deep" compares what is stored with the audit log. Exit code 0 says
that everything is sound now, 1 that it is not or cannot be read.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			r, err := daemon.Fsck(c.Context(), cfg, repair, newLogger(cfg.Log, c.ErrOrStderr()))
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			for _, line := range r.List {
				fmt.Fprintln(out, line)
			}
			if r.Unlisted > 0 {
				fmt.Fprintf(out, "and %d more\n", r.Unlisted)
			}
			by := "by this command; nobody serves the vault"
			if r.Online {
				by = "by the daemon that serves it"
			}
			left := r.Faults - r.Repaired
			verdict := "the vault is sound"
			if left > 0 {
				verdict = errUnsound.Error()
			}
			fmt.Fprintf(out, `%s
  checked         %s
  faults          %d, of them repaired %d
  persons         %d, of them erased %d, with %d keys
  records         %d
  values          %d, of them %d under a key that is out of use
  other sealed    %d rows
`, verdict, by, r.Faults, r.Repaired, r.Persons, r.Erased, r.Keys, r.Records, r.Cells, r.Unread, r.Sealed)
			if left > 0 {
				return fmt.Errorf("%w: %d faults are left", errUnsound, left)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&path, "config", "c", "", "the configuration file (required)")
	c.Flags().BoolVar(&repair, "repair", false, "put right what can be derived")
	_ = c.MarkFlagRequired("config")
	return c
}
