package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

func newBackup() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "backup --config FILE",
		Short: "Make a backup: one artefact of the values, one of the keys",
		Long: `Make a backup of the vault that --config names, where its backup section says:
one artefact of the values and one of the keys, each enciphered by its own KEK,
both opened again to the end before the command returns. A daemon that serves
the vault makes it, and goes on serving; otherwise the directory is opened.

A backup is of use together with the vault's own audit log, its KEK and the keys
of its erasure epoch, which are in no artefact. Keep the audit log's directory
copied elsewhere by its own means. Artefacts that are older than the
configuration keeps are removed; the newest pair always stays.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			r, err := daemon.Backup(c.Context(), cfg, newLogger(cfg.Log, c.ErrOrStderr()))
			if err != nil {
				return err
			}
			printBackup(c.OutOrStdout(), r)
			return nil
		},
	}
	c.Flags().StringVarP(&path, "config", "c", "", "the configuration file (required)")
	_ = c.MarkFlagRequired("config")
	return c
}

func printBackup(w io.Writer, r *daemon.BackupReport) {
	by := "opened by this command"
	if r.Online {
		by = "while the daemon serves it"
	}
	fmt.Fprintf(w, `a backup was made, %s, and opened again
  pair            %s
  values          %s
                  %d rows, %d bytes
  keys            %s
                  %d rows, %d bytes
  audit log       entry %d, from which a restore reads on
  erasure epoch   %d; when it ends, the persons' keys in this backup open nothing
  took            %s
`, by, r.Pair, r.Values.Path, r.Values.Rows, r.Values.Size, r.Keys.Path, r.Keys.Rows, r.Keys.Size, r.Log, r.Epoch, r.Took.Round(time.Millisecond))
	for _, old := range r.Removed {
		fmt.Fprintf(w, "  removed         %s\n", old)
	}
	if r.Kept != "" {
		fmt.Fprintf(w, "note: older artefacts could not be removed: %s\n", r.Kept)
	}
}
