package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/recovery"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func newRecovery() *cobra.Command {
	c := &cobra.Command{
		Use:   "recovery",
		Short: "Split a recovery key among people, for the day on which the KEK is lost",
		Long: `Split a recovery key among people, for the day on which the KEK is lost.

The root key of the vault is sealed a second time, to a recovery key whose
private half is split into shares. A number of them together, the threshold,
open the root without the KEK; fewer tell nothing. A share is a line of text,
for a person to keep, on paper or on a medium of their own.

These commands work on the files: stop the daemon first. Each is in the audit
log, under the number of the user who ran it.`,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SuggestionsMinimumDistance = 2
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(c, args[0])
		}
		return nil
	}
	c.AddCommand(newRecoveryCreate(), newRecoveryShow(), newRecoveryRemove(), newRecoveryUse())
	return c
}

// recoveryCommand completes a command that works on the vault of --config.
func recoveryCommand(c *cobra.Command, run func(c *cobra.Command, cfg *config.Config, args []string) error) *cobra.Command {
	var path string
	c.Flags().StringVarP(&path, "config", "c", "", "the configuration file (required)")
	_ = c.MarkFlagRequired("config")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := config.Load(path)
		if err != nil {
			return err
		}
		// Keys are in memory: no dumps of it.
		if err := daemon.Harden(); err != nil {
			return err
		}
		return recoveryHint(run(c, cfg, args))
	}
	return c
}

func newRecoveryCreate() *cobra.Command {
	var o daemon.RecoveryOptions
	var show bool
	c := &cobra.Command{
		Use:   "create --config FILE --shares N --threshold M (--out DIR | --print)",
		Short: "Make a recovery key and its shares, in place of an earlier one",
		Long: `Make a recovery key and its shares, in place of an earlier one. DIR is a new or
empty folder, away from the vault and its backups, that gets one file a share;
hand them to different people and remove them there. With --print they are shown
on the terminal instead, and kept in no file.

Before the set is put in force the shares are read back, every one is verified,
and two choices of the threshold are combined and open the root. A set counts
when this command ends well, or "recovery show" names it; shares of any other
set open nothing.

Who brings the threshold together and has a copy of keys.db needs no KEK. When
shares come into wrong hands: make a new set, then rotate the root.`,
		Args: func(c *cobra.Command, args []string) error {
			if err := noArgs(c, args); err != nil {
				return err
			}
			switch {
			case (o.Out == "") == !show:
				return usageError{errors.New("one of --out DIR and --print is needed")}
			case o.Threshold < 1 || o.Threshold > o.Shares || o.Shares > recovery.MaxShares:
				return usageError{fmt.Errorf("--threshold must be at least 1 and at most --shares, which is at most %d", recovery.MaxShares)}
			case show && !isTerminal(c.OutOrStdout()):
				return usageError{errors.New("--print is for a terminal: shares must not end in a file or a log by mistake; use --out DIR")}
			}
			return nil
		},
	}
	c.Flags().IntVar(&o.Shares, "shares", 5, "how many shares are made")
	c.Flags().IntVar(&o.Threshold, "threshold", 3, "how many of them open the root")
	c.Flags().StringVar(&o.Out, "out", "", "a new or empty folder for one file a share")
	c.Flags().BoolVar(&show, "print", false, "show the shares on the terminal in place of --out")
	return recoveryCommand(c, func(c *cobra.Command, cfg *config.Config, _ []string) error {
		out := c.OutOrStdout()
		if show {
			o.Show = func(text string) error {
				_, err := fmt.Fprintln(out, text)
				return err
			}
		}
		made, err := daemon.CreateRecovery(c.Context(), cfg, o, newLogger(cfg.Log, c.ErrOrStderr()))
		if err != nil {
			if show {
				err = fmt.Errorf("%w; shares that were shown count only if \"recovery show\" names their set", err)
			}
			return err
		}
		tellRecovery(out, made)
		return nil
	})
}

func tellRecovery(w io.Writer, m *daemon.RecoveryMade) {
	fmt.Fprintf(w, "Any %d of %d shares open the root of this vault without its KEK.\n\n", m.Threshold, m.Shares)
	printSet(w, &m.RecoveryInfo)
	for _, path := range m.Files {
		fmt.Fprintf(w, "  share  %s\n", path)
	}
	fmt.Fprint(w, `
The shares were read back and verified, and two choices of them opened the root.
Give each to another person, and keep none beside the vault or its backups.
`)
	if len(m.Files) > 0 {
		fmt.Fprintln(w, "Remove the files here when they are handed out.")
	}
	if m.Replaced != nil {
		fmt.Fprintf(w, "Set %s does not count any more. It still opens copies of keys.db from before.\n", setName(m.Replaced))
	}
}

func newRecoveryShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show --config FILE",
		Short: "Show which set of shares is in force; no KEK is needed",
		Args:  noArgs,
	}
	return recoveryCommand(c, func(c *cobra.Command, cfg *config.Config, _ []string) error {
		info, err := daemon.ShowRecovery(c.Context(), cfg, newLogger(cfg.Log, c.ErrOrStderr()))
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "Any %d of %d shares open the root of this vault without its KEK.\n\n", info.Threshold, info.Shares)
		printSet(c.OutOrStdout(), info)
		return nil
	})
}

func newRecoveryRemove() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove --config FILE",
		Short: "Remove the recovery key: without the KEK nothing opens then",
		Long: `Remove the recovery key: without the KEK nothing opens then. Copies of keys.db
from before are still opened by the old shares; rotate the root if those are in
wrong hands.`,
		Args: noArgs,
	}
	return recoveryCommand(c, func(c *cobra.Command, cfg *config.Config, _ []string) error {
		info, err := daemon.RemoveRecovery(c.Context(), cfg, newLogger(cfg.Log, c.ErrOrStderr()))
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "Set %s does not count any more: only the KEK opens the root now.\n", setName(info))
		return nil
	})
}

func newRecoveryUse() *cobra.Command {
	c := &cobra.Command{
		Use:   "use --config FILE SHARE_FILE...",
		Short: "Open the root by shares and wrap it by the KEK of the configuration",
		Long: `Open the root by as many shares as the threshold says, in any order, and wrap it
by the kek of the configuration. That is a new one, since the old one is lost:
name it in the configuration, and make it, with make-kek or its own tools. Who
was given a share on paper writes its line into a file.

Every share is verified, and everything under the root is opened, before
anything is stored. Then the vault is opened by the new KEK. The epoch keys are
no part of this: they must be there.

The shares go on to work. They were together in one place now: make a new set,
and rotate the root.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("usage: %s", c.UseLine())}
			}
			return nil
		},
	}
	return recoveryCommand(c, func(c *cobra.Command, cfg *config.Config, args []string) error {
		used, err := daemon.UseRecovery(c.Context(), cfg, args, newLogger(cfg.Log, c.ErrOrStderr()))
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), `The root was opened by shares of set %s and is wrapped by %s now.
The vault opens by it. Serve it, then make a new set of shares and rotate the root.
`, setName(&used.RecoveryInfo), used.KEK)
		return nil
	})
}

func printSet(w io.Writer, info *keys.RecoveryInfo) {
	fmt.Fprintf(w, "  set    %s\n  made   %s\n", setName(info), info.Made.UTC().Format(time.RFC3339))
}

func setName(info *keys.RecoveryInfo) string { return hex.EncodeToString(info.Set[:]) }

// recoveryHint is for what these commands alone mean by an error.
func recoveryHint(err error) error {
	var share *recovery.ShareError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrLocked), errors.Is(err, audit.ErrLocked):
		return hinted{err, "a cloakroomd serves this directory; stop it first, and start it again afterwards. \"cloakroom keys list\" shows the recovery of a vault that is served"}
	case errors.Is(err, daemon.ErrNoRecovery):
		return hinted{err, "\"recovery create\" makes one, while the KEK is there"}
	case errors.Is(err, daemon.ErrRecoveryKEK):
		return hinted{err, "name a new KEK as kek in the configuration and make it, with \"make-kek\" or its own tools; the lost one is not needed"}
	case errors.As(err, &share), errors.Is(err, recovery.ErrTooFew), errors.Is(err, daemon.ErrShareFile):
		return hinted{err, "\"recovery show\" tells which set is in force and how many of its shares are needed; nothing was changed"}
	}
	return err
}

// isTerminal reports whether what is written is shown on a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && hasWindow(f)
}
