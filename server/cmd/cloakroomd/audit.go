package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

func newAudit() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Work on an audit log's directory",
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SuggestionsMinimumDistance = 2
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(c, args[0])
		}
		return nil
	}
	c.SetFlagErrorFunc(func(at *cobra.Command, err error) error {
		// The flag is that of a command that is not there, which is the mistake.
		if at == c && c.Flags().NArg() > 0 {
			return unknownCommand(c, c.Flags().Arg(0))
		}
		return usageError{err}
	})
	c.AddCommand(newAuditVerify(), newAuditCosign())
	return c
}

// unknownCommand names the commands that may be meant.
func unknownCommand(parent *cobra.Command, name string) error {
	message := fmt.Sprintf("unknown command %q for %q", name, parent.CommandPath())
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{errors.New(message)}
}

// verifyFlags are the flags of audit verify.
type verifyFlags struct {
	vkey, checkpoint string // files
	deep             bool
	config           string // file, with deep
}

func newAuditVerify() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify DIR | verify --deep --config FILE",
		Short: "Verify an audit log; with --deep, all that is stored against it",
		Long: `Verify an audit log and name the first bad entry or file. DIR is the directory
of the log, with the .wal files and tlog/. Nothing is written, no key is needed,
and the daemon may be running.

Bring the verifier key and a checkpoint from elsewhere: who can write DIR can
write another log with another key, or put the whole directory back to an older
state. A copy of tlog/vkey and, now and then, of tlog/checkpoint is enough.

With --deep the whole vault that --config names is opened with its keys, and
everything that is stored is held against the log: cells that were put back to
an older version, moved, changed, or written by no entry; cells, records and
persons that are missing; deleted and erased ones that are back, their keys
too; an older policy; a log older than the values. Stop the daemon first.
Values are not opened and nothing is repaired. All that is found is listed, one
a line: what it is, the field, the item, the person's handle as the log has it,
and the entries that tell of it. The handle is no caller's id. It takes about 60
bytes of memory for each value and record.

Exit code 0 says that everything holds, 1 that it does not or cannot be read.`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case f.deep && (len(args) > 0 || f.config == ""):
				return usageError{errors.New("usage: cloakroomd audit verify --deep --config FILE; the configuration names the directories")}
			case !f.deep && f.config != "":
				return usageError{errors.New("--config is for --deep")}
			case f.deep:
				return nil
			}
			return exactArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			if f.deep {
				if err := f.checkEarlier(o, o.VerifierKey); err != nil {
					return err
				}
				return verifyDeep(c, f.config, o)
			}
			if err := checkDir(args[0]); err != nil {
				return err
			}
			if err := f.checkEarlier(o, cmp.Or(o.VerifierKey, storedKey(args[0]))); err != nil {
				return err
			}
			report, err := audit.Verify(c.Context(), args[0], o)
			if err != nil {
				return treeGone(args[0], err)
			}
			printReport(c.OutOrStdout(), report, f.vkey != "")
			return nil
		},
	}
	c.Flags().StringVar(&f.vkey, "vkey", "", "file with the verifier key (default: the one in DIR/tlog; with --deep, the vault's own)")
	c.Flags().StringVar(&f.checkpoint, "checkpoint", "", "file with a signed checkpoint seen earlier, to find a log that was put back or rewritten")
	c.Flags().BoolVar(&f.deep, "deep", false, "hold everything that is stored against the log; the daemon must be stopped")
	c.Flags().StringVar(&f.config, "config", "", "the configuration file of the vault, with --deep")
	return c
}

// options reads the files that the flags name.
func (f *verifyFlags) options() (o audit.VerifyOptions, err error) {
	if f.vkey != "" {
		text, err := os.ReadFile(f.vkey)
		if err != nil {
			return o, err
		}
		if o.VerifierKey = string(text); o.VerifierKey == "" {
			return o, fmt.Errorf("%w: the file is empty", tree.ErrKey)
		}
	}
	if f.checkpoint != "" {
		if o.Earlier, err = os.ReadFile(f.checkpoint); err != nil {
			return o, err
		}
	}
	return o, nil
}

// checkEarlier looks at the file of --checkpoint, if there is one.
func (f *verifyFlags) checkEarlier(o audit.VerifyOptions, vkey string) error {
	if f.checkpoint == "" {
		return nil
	}
	return checkEarlier(f.checkpoint, o.Earlier, vkey)
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
	for _, key := range cp.SignedBy {
		fmt.Fprintf(w, "  signed by       %s\n", key)
	}
	if r.Earlier != nil {
		fmt.Fprintf(w, "  seen earlier    %d entries, which the log goes on from\n", r.Earlier.Size)
	} else {
		fmt.Fprintln(w, "note: without --checkpoint a log put back to an older state is not found")
	}
	if !keyGiven {
		fmt.Fprintln(w, "note: the verifier key was taken from the directory itself; bring a copy with --vkey")
	}
}
