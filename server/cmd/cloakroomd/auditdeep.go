package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// errFaults: a deep check found something.
var errFaults = errors.New("what is stored does not agree with the audit log")

// verifyDeep lists what a deep check finds.
func verifyDeep(c *cobra.Command, path string, o audit.VerifyOptions) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	bar := newStages(c.ErrOrStderr())
	defer bar.end()
	begun := time.Now()
	report, err := daemon.Deep(c.Context(), cfg, daemon.DeepOptions{
		VerifierKey: o.VerifierKey, Earlier: o.Earlier,
		Verified: func(r *tree.Report) {
			bar.end()
			printReport(out, r, true) // the vault's own key, if no other
		},
		Found: func(f vault.Finding) {
			bar.end()
			fmt.Fprintln(out, f)
		},
		Progress: bar.at,
	}, newLogger(cfg.Log, c.ErrOrStderr()))
	bar.end()
	if err != nil {
		return treeGone(cfg.Audit.Directory, err)
	}
	printDeep(out, report, time.Since(begun))
	if report.Findings > 0 {
		return fmt.Errorf("%w: %d faults", errFaults, report.Findings)
	}
	return nil
}

func printDeep(w io.Writer, r *vault.DeepReport, took time.Duration) {
	verdict := "everything that is stored agrees with the audit log"
	if r.Findings > 0 {
		verdict = "what is stored does not agree with the audit log"
	}
	fmt.Fprintf(w, `%s
  faults          %d, of them %d of what came after a backup that was restored, and is lost
  entries         %d, and %d in the outbox
  persons         %d, of them erased %d
  cells           %d
  older           %d cells, records, freezes and honey marks that the log does not reach back to
  not compared    %d cells under a key that is out of use
  spare keys      %d
  took            %s
`, verdict, r.Findings, r.Restored, r.Entries, r.Outbox, r.Persons, r.Erased, r.Cells, r.Older, r.Unread, r.SpareKeys, took.Round(time.Millisecond))
}

// stages shows on a terminal how far a check is; elsewhere it shows nothing.
type stages struct {
	out      io.Writer
	terminal bool
	stage    string
	bar      *progressbar.ProgressBar // nil: nothing is shown
}

func newStages(out io.Writer) *stages {
	s := &stages{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

// at shows the progress.
func (s *stages) at(p vault.DeepProgress) {
	if !s.terminal {
		return
	}
	if s.bar == nil || s.stage != p.Stage {
		s.end()
		s.stage = p.Stage
		s.bar = progressbar.NewOptions64(int64(p.Total),
			progressbar.OptionSetWriter(s.out),
			progressbar.OptionSetDescription(p.Stage),
			progressbar.OptionThrottle(100*time.Millisecond),
			// Drawn when it is told to only: otherwise a goroutine stays behind.
			progressbar.OptionSetSpinnerChangeInterval(0),
			progressbar.OptionClearOnFinish(),
		)
	}
	// A bar that cannot be drawn is no reason to fail.
	s.bar.ChangeMax64(int64(max(p.Total, 1)))
	_ = s.bar.Set64(int64(p.Done))
}

// end clears the line.
func (s *stages) end() {
	if s.bar != nil {
		_ = s.bar.Finish()
		_ = s.bar.Clear()
		s.bar = nil
	}
}
