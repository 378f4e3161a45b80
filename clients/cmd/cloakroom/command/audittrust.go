package command

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
)

// trustFlags say which key is trusted.
type trustFlags struct{ vkey, state string }

func (f *trustFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.vkey, "vkey", "", "`file` with the verifier key of the log, from a source you trust")
	cmd.Flags().StringVar(&f.state, "state", "", "`file` that keeps key and checkpoint (default: one a log, under your configurations)")
}

// Why a key is trusted.
const (
	trustGiven  = "given"
	trustPinned = "pinned"
	trustFirst  = "first use"
)

// trust is the key to verify with, and where it comes from.
type trust struct {
	key  note.Verifier
	vkey string
	how  string
	// kept is what was kept of the log; nil for nothing.
	kept *kept
	// path is where to keep what is verified.
	path string
	// folder is that of all kept logs; empty with --state.
	folder string
}

// readKey reads the key of --vkey; nil when it is not given.
func (f *trustFlags) readKey(cmd *cobra.Command) (note.Verifier, string, error) {
	if f.vkey == "" {
		return nil, "", nil
	}
	if f.vkey == "-" {
		return nil, "", wrongUse(cmd, "--vkey: a key is read from a file, not from standard input")
	}
	text, err := readFile(nil, f.vkey)
	if err != nil {
		return nil, "", wrongUse(cmd, "--vkey: %v", err)
	}
	key, err := auditproof.NewVerifier(string(text))
	if err != nil {
		return nil, "", wrongUse(cmd, "--vkey: %v", err)
	}
	return key, line(text), nil
}

// find says which key is trusted: that of --vkey; or else the one kept of the
// log that was found at this address; or else the one that the vault states,
// unless another is kept of a log of that name. log is not asked when a key is
// known.
func (f *trustFlags) find(ctx context.Context, cmd *cobra.Command, a *app, log auditproof.Log) (*trust, error) {
	t := &trust{how: trustGiven, path: f.state}
	var err error
	if t.key, t.vkey, err = f.readKey(cmd); err != nil {
		return nil, err
	}
	if f.state != "" {
		if t.kept, err = readKept(f.state); err != nil {
			return nil, err
		}
		if t.kept != nil && t.key != nil && t.kept.Origin != t.key.Name() {
			return nil, wrongUse(cmd, "--state: it is of the log %q, and --vkey of %q", t.kept.Origin, t.key.Name())
		}
	} else if t.folder, err = a.keptFolder(); err != nil {
		return nil, err
	} else if t.key != nil {
		t.path = keptPath(t.folder, t.key.Name())
		t.kept, err = readKept(t.path)
	} else {
		t.kept, err = keptAt(t.folder, a.vaultAddress())
	}
	switch {
	case err != nil:
		return nil, err
	case t.key != nil:
		return t, nil
	case t.kept == nil:
		return t, t.ask(ctx, log)
	}
	t.pin()
	return t, nil
}

// pin takes the kept key.
func (t *trust) pin() {
	t.key, t.vkey, t.how, t.path = t.kept.key, t.kept.VerifierKey, trustPinned, t.kept.path
}

// ask takes the key that the vault states, unless there is one kept of a log of
// that name.
func (t *trust) ask(ctx context.Context, log auditproof.Log) error {
	answer, err := log.AuditCheckpoint(ctx)
	if err != nil {
		return err
	}
	if t.key, err = auditproof.NewVerifier(answer.VerifierKey); err != nil {
		return fmt.Errorf("the vault states a key that is none: %w", err)
	}
	t.vkey, t.how = answer.VerifierKey, trustFirst
	if t.folder == "" {
		return nil
	}
	t.path = keptPath(t.folder, t.key.Name())
	if t.kept, err = readKept(t.path); err == nil && t.kept != nil {
		t.pin()
	}
	return err
}

// earlier is the checkpoint that the log must go on from, nil for none.
func (t *trust) earlier() *auditproof.Checkpoint {
	if t.kept == nil {
		return nil
	}
	return t.kept.checkpoint
}

// keep writes what was verified. An address belongs to one log.
func (t *trust) keep(a *app, c *auditproof.Checkpoint) error {
	address := a.vaultAddress()
	next := kept{
		Origin: c.Origin, VerifierKey: t.vkey, Trust: t.how, Checkpoint: string(c.Signed),
		VerifyTime: exactTime(a.Now()), path: t.path,
	}
	if t.kept != nil {
		next.Addresses = t.kept.Addresses
		next.OlderKeys = t.kept.olderThan(t.key, c)
		if t.how == trustPinned {
			next.Trust = t.kept.Trust
		}
	}
	if !slices.Contains(next.Addresses, address) {
		next.Addresses = append(next.Addresses, address)
	}
	if t.folder != "" {
		other, err := keptAt(t.folder, address)
		if err != nil {
			return err
		}
		if other != nil && other.path != t.path {
			other.Addresses = slices.DeleteFunc(other.Addresses, func(at string) bool { return at == address })
			if err := other.write(); err != nil {
				return err
			}
		}
	}
	return next.write()
}

// warn says loudly what was trusted without proof.
func (t *trust) warn(a *app) {
	switch {
	case t.how == trustFirst:
		fmt.Fprintf(a.Stderr, `WARNING: no key of this log was known, so the key that the vault itself states was
WARNING: trusted. Compare it with the file tlog/vkey in the audit folder of the vault:
WARNING:   %s
`, printable(t.vkey))
	case t.how == trustGiven && t.kept != nil && t.kept.VerifierKey != t.vkey:
		fmt.Fprintf(a.Stderr, "the key of --vkey is another than the one kept, %s\n", printable(t.kept.VerifierKey))
	}
}
