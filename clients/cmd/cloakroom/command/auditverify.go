package command

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
)

// verifiedJSON is the result of audit verify.
type verifiedJSON struct {
	Origin     string `json:"origin"`
	Size       uint64 `json:"size"`
	Root       string `json:"root"`
	FirstIndex uint64 `json:"first_index"`
	Verified   uint64 `json:"verified"`
	// KeyTrust is "given", "pinned" or "first use".
	KeyTrust string `json:"key_trust"`
	// EarlierSize is that of the checkpoint kept before; absent without one.
	EarlierSize *uint64 `json:"earlier_size,omitempty"`
	// NewKey is the key that signs for good by the word of the vault, when it is
	// another than the trusted one; absent otherwise.
	NewKey *newKeyJSON `json:"new_key,omitempty"`
	State  string      `json:"state"`
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var flags trustFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Fetch the whole audit log and verify it, without trust in the vault",
		Long: `Fetch every entry that the audit log still keeps, and verify them against the
log's signed checkpoint: a changed, missing, added or moved entry is found, and
the first one is named.

The checkpoint is kept in a file. The next run demands that the log goes on from
it: a log that was put back or written anew is found. Keep a copy of the file on
a machine that the vault's administrators do not control.

The key comes from --vkey, or from the file. On the first run without --vkey the
key that the vault states is trusted and kept: compare it.

While the signing key is being changed ('cloakroom keys rotate audit-signer'), the
old and the new one sign. The new one is told of, and never trusted by itself: give
it once with --vkey before the old one stops to sign.

Entries that the log's retention has removed are verified by their hashes alone.`,
		Example: `  cloakroom audit verify --vkey vkey
  cloakroom audit verify`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				t, err := flags.find(cmd.Context(), cmd, a, client)
				if err != nil {
					return err
				}
				t.warn(a)
				at, done := a.progress("verifying", -1, false)
				report, err := auditproof.VerifyLog(cmd.Context(), client, t.key, auditproof.Options{
					Earlier: t.earlier(), Progress: func(n, _ uint64) { at(int64(n)) },
				})
				done()
				if err != nil {
					return err
				}
				if err := t.keep(a, report.Checkpoint); err != nil {
					return fmt.Errorf("the log holds, and its checkpoint could not be kept: %w", err)
				}
				a.warnNewKey(t, report)
				return a.printVerified(t, report)
			})
		},
	}
	flags.add(cmd)
	return cmd
}

func (a *app) printVerified(t *trust, report *auditproof.Report) error {
	c := report.Checkpoint
	if c.Size == 0 {
		fmt.Fprintln(a.Stderr, "WARNING: the last checkpoint covers no entry yet, so nothing was verified: try again in a second")
	}
	out := verifiedJSON{c.Origin, c.Size, c.Root.String(), report.FirstIndex, report.Entries, t.how, nil, t.newKey(report), t.path}
	earlier := "none"
	if e := t.earlier(); e != nil {
		out.EarlierSize = &e.Size
		earlier = fmt.Sprintf("%d entries, and the log goes on from them", e.Size)
	}
	return a.print(out, func(w *tableWriter) {
		w.row("LOG", c.Origin)
		w.row("ENTRIES", strconv.FormatUint(c.Size, 10))
		if report.FirstIndex > 0 {
			w.row("REMOVED BY RETENTION", strconv.FormatUint(report.FirstIndex, 10))
		}
		w.row("VERIFIED", strconv.FormatUint(report.Entries, 10))
		w.row("ROOT", c.Root.String())
		w.row("KEY", t.how)
		if out.NewKey != nil && out.NewKey.Signed {
			w.row("NEW KEY", "not trusted: "+out.NewKey.VerifierKey)
		}
		w.row("KEPT BEFORE", earlier)
		w.row("KEPT IN", t.path)
	})
}
