package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

func newAudit() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Work on an audit log's directory",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newAuditVerify())
	return c
}

func newAuditVerify() *cobra.Command {
	var vkey, checkpoint string
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "Verify an audit log: every entry, the tree over them, the signed checkpoint",
		Long: `Verify an audit log and name the first bad entry or file. DIR is the directory
of the log, with the .wal files and tlog/. Nothing is written, no key is needed,
and the daemon may be running.

Bring the verifier key and a checkpoint from elsewhere: who can write DIR can
write another log with another key, or put the whole directory back to an older
state. A copy of tlog/vkey and, now and then, of tlog/checkpoint is enough.

Exit code 0 says that everything holds, 1 that it does not or cannot be read.`,
		Args: exactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var o audit.VerifyOptions
			if vkey != "" {
				text, err := os.ReadFile(vkey)
				if err != nil {
					return err
				}
				if o.VerifierKey = string(text); o.VerifierKey == "" {
					return fmt.Errorf("%w: the file is empty", tree.ErrKey)
				}
			}
			if checkpoint != "" {
				var err error
				if o.Earlier, err = os.ReadFile(checkpoint); err != nil {
					return err
				}
				if len(o.Earlier) == 0 {
					return fmt.Errorf("%w: the file of the checkpoint seen earlier is empty", tree.ErrNoCheckpoint)
				}
			}
			report, err := audit.Verify(c.Context(), args[0], o)
			if err != nil {
				return err
			}
			printReport(c.OutOrStdout(), report, vkey != "")
			return nil
		},
	}
	c.Flags().StringVar(&vkey, "vkey", "", "file with the verifier key (default: the one in DIR/tlog)")
	c.Flags().StringVar(&checkpoint, "checkpoint", "", "file with a signed checkpoint seen earlier, to find a log that was put back or rewritten")
	return c
}

func printReport(w io.Writer, r *tree.Report, keyGiven bool) {
	cp := r.Checkpoint
	fmt.Fprintf(w, `the audit log holds
  log             %s
  entries         %d
  checkpoint      %d entries, root %s
  not covered yet %d
  tiles compared  %d
`, cp.Origin, r.Entries, cp.Size, cp.Root, r.Entries-cp.Size, r.Tiles)
	if r.Earlier != nil {
		fmt.Fprintf(w, "  seen earlier    %d entries, which the log goes on from\n", r.Earlier.Size)
	} else {
		fmt.Fprintln(w, "note: without --checkpoint a log put back to an older state is not found")
	}
	if !keyGiven {
		fmt.Fprintln(w, "note: the verifier key was taken from the directory itself; bring a copy with --vkey")
	}
}
