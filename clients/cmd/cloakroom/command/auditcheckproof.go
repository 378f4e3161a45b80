package command

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditentry"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
)

// provenJSON is the result of audit check-proof.
type provenJSON struct {
	Origin   string `json:"origin"`
	Index    uint64 `json:"index"`
	Size     uint64 `json:"size"`
	Root     string `json:"root"`
	LeafHash string `json:"leaf_hash"`
	// Entry is the encoded entry.
	Entry []byte `json:"entry"`
	// Says is what the entry says; absent when it is in a format that this version
	// does not know.
	Says *auditEntryJSON `json:"says,omitempty"`
}

func (a *app) auditCheckProofCommand() *cobra.Command {
	var flags trustFlags
	cmd := &cobra.Command{
		Use:   "check-proof FILE --vkey FILE",
		Short: "Check a proof of an entry, offline, and show what the entry says",
		Long: `Check a proof that 'cloakroom audit proof' made, and show what the entry says; - is
standard input. No vault is asked, so fields are shown by their numbers: the names
are in the vault. The key comes from --vkey or from a file of 'cloakroom audit
verify' that --state names; there, a key that was replaced counts until it is seen to
sign no more.

Exit code 0 says that the entry is in the log, 1 that the file does not prove it,
whatever is wrong in it.`,
		Example: "  cloakroom audit check-proof 1234.tlog-proof --vkey vkey",
		Args:    arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readFile(&once{source: a.Stdin}, args[0])
			if err != nil {
				return wrongUse(cmd, "FILE: %v", err)
			}
			keys, err := flags.offline(cmd)
			if err != nil {
				return err
			}
			return a.checkProof(text, keys)
		},
	}
	flags.add(cmd)
	return cmd
}

// offline returns the key of --vkey, or those of the file that --state names.
func (f *trustFlags) offline(cmd *cobra.Command) ([]note.Verifier, error) {
	key, _, err := f.readKey(cmd)
	switch {
	case err != nil:
		return nil, err
	case key != nil:
		return []note.Verifier{key}, nil
	case f.state == "":
		return nil, wrongUse(cmd, "no key to check with: give --vkey or --state")
	}
	k, err := readKept(f.state)
	switch {
	case err != nil:
		return nil, err
	case k == nil:
		return nil, wrongUse(cmd, "--state: there is no such file")
	}
	return append([]note.Verifier{k.key}, k.older...), nil
}

// checkProof checks a proof and prints what it proves.
func (a *app) checkProof(text []byte, keys []note.Verifier) error {
	proof, err := auditproof.ParseProof(text)
	if err != nil {
		return err
	}
	if len(proof.Entry) == 0 {
		return errors.New("the proof does not hold its entry")
	}
	c, err := proof.Verify(keys...)
	if err != nil {
		return err
	}
	e, err := auditentry.Decode(proof.Entry)
	switch {
	case errors.Is(err, auditentry.ErrFormat):
		fmt.Fprintf(a.Stderr, "the entry is in the log, and this version cannot show what it says: %v\n", err)
	case err != nil:
		return fmt.Errorf("the proof holds, and its entry cannot be read: %w", err)
	}
	leaf := tlog.RecordHash(proof.Entry)
	out := provenJSON{c.Origin, proof.Index, c.Size, c.Root.String(), leaf.String(), proof.Entry, nil}
	if e != nil {
		says := jsonAuditEntry(provenEntry(proof.Index, e))
		for i, it := range e.Items {
			says.Items[i].Field, says.Items[i].FieldNumber = "", it.Field
		}
		out.Says = &says
	}
	return a.print(out, func(t *tableWriter) {
		t.row("LOG", c.Origin)
		t.row("ENTRY", strconv.FormatUint(proof.Index, 10))
		t.row("AMONG", strconv.FormatUint(c.Size, 10))
		t.row("LEAF HASH", leaf.String())
		t.row("ROOT", c.Root.String())
		t.row("BYTES", strconv.Itoa(len(proof.Entry)))
		if e != nil {
			t.gap()
			tableAuditEntry(t, provenEntry(proof.Index, e))
		}
	})
}

// provenEntry is an entry that was read offline, with numbers for the names of
// fields.
func provenEntry(index uint64, e *auditentry.Entry) cloakroom.AuditEntry {
	out := cloakroom.AuditEntry{
		Index: index, ID: e.ID, Time: e.Time, RequestID: e.RequestID, Principal: e.Principal, Action: e.Action, Purpose: e.Purpose,
		View: e.View, Reason: e.Reason, PolicyVersion: e.PolicyVersion, Collection: e.Collection, Object: e.Object,
		Outcome: e.Outcome, Refusal: e.Refusal, Count: e.Count,
	}
	for _, it := range e.Items {
		field := ""
		if it.Field > 0 {
			field = "number " + strconv.FormatUint(uint64(it.Field), 10)
		}
		out.Items = append(out.Items, cloakroom.AuditItem{
			Subject: it.Subject, Field: field, Item: uint32(it.Item), Outcome: it.Outcome, Refusal: it.Refusal,
			KeyVersion: uint32(it.KeyVersion), Hash: it.Hash,
		})
	}
	return out
}
