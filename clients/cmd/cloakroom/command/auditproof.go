package command

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
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
}

func (a *app) auditProofCommand() *cobra.Command {
	var flags trustFlags
	var output string
	cmd := &cobra.Command{
		Use:   "proof INDEX",
		Short: "Make a proof of an entry that anybody can check offline",
		Long: `Make a proof that an entry is in the audit log, in the form of C2SP tlog-proof
(c2sp.org/tlog-proof@v1): the entry, the hashes, and the signed checkpoint, in
one file. 'cloakroom audit check-proof' and other tools check it offline, with
nothing but the key of the log.`,
		Example: `  cloakroom audit proof 1234 --output 1234.tlog-proof
  cloakroom audit check-proof 1234.tlog-proof --vkey vkey`,
		Args: arguments("INDEX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := strconv.ParseUint(args[0], 10, 63)
			if err != nil {
				return wrongUse(cmd, "INDEX is the index of an entry, from 0 on")
			}
			if slices.Contains([]string{"table", "json", "csv", "text"}, output) {
				return wrongUse(cmd, "--output is the file for the proof here; ./%s would be one", output)
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				t, err := flags.find(cmd.Context(), cmd, a, client)
				if err != nil {
					return err
				}
				t.warn(a)
				proof, _, err := auditproof.FetchProof(cmd.Context(), client, index, t.key)
				if err != nil {
					return err
				}
				if output == "" {
					_, err = a.Stdout.Write(proof.Marshal())
					return err
				}
				return os.WriteFile(output, proof.Marshal(), 0o600)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "`file` for the proof (default: standard output)")
	return cmd
}

func (a *app) auditCheckProofCommand() *cobra.Command {
	var flags trustFlags
	cmd := &cobra.Command{
		Use:   "check-proof FILE --vkey FILE",
		Short: "Check a proof of an entry, offline",
		Long: `Check a proof that 'cloakroom audit proof' made; - is standard input. No vault is
asked. The key comes from --vkey or from a file of 'cloakroom audit verify' that
--state names.`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readFile(&once{source: a.Stdin}, args[0])
			if err != nil {
				return wrongUse(cmd, "FILE: %v", err)
			}
			key, _, err := flags.readKey(cmd)
			switch {
			case err != nil:
				return err
			case key == nil && flags.state == "":
				return wrongUse(cmd, "no key to check with: give --vkey or --state")
			case key == nil:
				k, err := readKept(flags.state)
				if err != nil {
					return err
				}
				if k == nil {
					return wrongUse(cmd, "--state: there is no such file")
				}
				key = k.key
			}
			proof, err := auditproof.ParseProof(text)
			if err != nil {
				return wrongUse(cmd, "FILE: %v", err)
			}
			if len(proof.Entry) == 0 {
				return wrongUse(cmd, "FILE: the proof does not hold its entry")
			}
			c, err := proof.Verify(key)
			if err != nil {
				return err
			}
			leaf := tlog.RecordHash(proof.Entry)
			return a.print(provenJSON{c.Origin, proof.Index, c.Size, c.Root.String(), leaf.String(), proof.Entry}, func(w *tableWriter) {
				w.row("LOG", c.Origin)
				w.row("ENTRY", strconv.FormatUint(proof.Index, 10))
				w.row("AMONG", strconv.FormatUint(c.Size, 10))
				w.row("LEAF HASH", leaf.String())
				w.row("ROOT", c.Root.String())
				w.row("BYTES", fmt.Sprint(len(proof.Entry)))
			})
		},
	}
	flags.add(cmd)
	return cmd
}
