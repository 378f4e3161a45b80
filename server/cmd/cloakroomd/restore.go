package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

func newRestore() *cobra.Command {
	var path string
	var o daemon.RestoreOptions
	c := &cobra.Command{
		Use:   "restore --config FILE --values FILE --keys FILE",
		Short: "Bring a vault back from a backup, and do again what the audit log tells of since",
		Long: `Bring back the stores of the vault that --config names from a pair of artefacts:
that of the values, and that of the keys of the same run or a later one. Stop the
daemon first.

The vault's own audit log must be there, and reach back to the backup: what was
deleted, erased, frozen, thawed, disabled or destroyed since is done again before
anything is put to use. What was written since is lost. Where a newer policy was
applied since, the whole vault is frozen until somebody thaws it. The KEK must be
the one that wrapped the root then, and the erasure epoch must not have ended.

It works beside what is there. When all is done the files change places, and the
old ones stand in a folder "before-restore-…" in the data directory: remove it
when all is well, since it still holds what was erased. A restore that is killed
has either happened or not; run it again.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			r, err := daemon.Restore(c.Context(), cfg, o, newLogger(cfg.Log, c.ErrOrStderr()))
			if err != nil {
				return err
			}
			printRestore(c.OutOrStdout(), r, path)
			return nil
		},
	}
	f := c.Flags()
	f.StringVarP(&path, "config", "c", "", "the configuration file (required)")
	f.StringVar(&o.Values, "values", "", "the artefact of the values (required)")
	f.StringVar(&o.Keys, "keys", "", "the artefact of the keys (required)")
	f.BoolVar(&o.AcceptUnread, "accept-unread", false, "go on when the log tells of changes that cannot be read with the keys of the backup; the vault is frozen then")
	for _, name := range []string{"config", "values", "keys"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}

func printRestore(w io.Writer, r *daemon.RestoreReport, path string) {
	fmt.Fprintf(w, `the vault was restored
  made at         %s
  audit log       entries %d to %d were looked at
  done again      %d persons erased, %d records and %d values deleted
                  %d freezes begun, %d ended, %d honey marks ended
                  %d versions of keys disabled, %d destroyed
  moved           %d values, to another version of their key
  found by id     %d records; %d are of persons whose id does not open
  spare keys      %d removed
`, r.Values.Time.Format("2006-01-02T15:04:05Z07:00"), r.From, r.To, r.Erased, r.Records, r.Items, r.Freezes, r.Thawed, r.HoneyEnded,
		r.KeysDisabled, r.KeysDestroyed, r.Rewrapped, r.Found, r.Closed, r.SpareKeys)
	if len(r.KeysLost) > 0 {
		fmt.Fprintf(w, "lost: versions of keys that were made since: %s\n", strings.Join(r.KeysLost, ", "))
	}
	if len(r.KeysUnsure) > 0 {
		fmt.Fprintf(w, "look: done since under names of a newer policy, so see whether it must be done again: %s\n", strings.Join(r.KeysUnsure, ", "))
	}
	if r.HoneyLost > 0 {
		fmt.Fprintf(w, "lost: %d honey marks that were set since; set them again\n", r.HoneyLost)
	}
	if r.Unread > 0 {
		fmt.Fprintf(w, "lost: %d changes since could not be read, and were not done again\n", r.Unread)
	}
	if r.PolicyLost > 0 {
		fmt.Fprintf(w, "lost: policy version %d; that of the backup is in force, as version %d. Apply the newest one again\n", r.PolicyLost, r.PolicyNow)
	}
	if r.Frozen {
		fmt.Fprintln(w, "note: the whole vault is frozen. Look, then end it: \"cloakroom incident freezes\" shows its number for \"cloakroom incident thaw\"")
	}
	if r.Aside != "" {
		fmt.Fprintf(w, "note: what stood there before is in %s; remove it when all is well\n", r.Aside)
	}
	fmt.Fprintf(w, `note: what was written after the backup is lost; this lists it:
  cloakroomd audit verify --deep --config %s
Serve it:
  cloakroomd serve --config %s
`, path, path)
}
