package command

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
)

func (a *app) auditProofCommand() *cobra.Command {
	var flags trustFlags
	var output string
	var force bool
	cmd := &cobra.Command{
		Use:   "proof INDEX",
		Short: "Make a proof of an entry that anybody can check offline",
		Long: `Make a proof that an entry is in the audit log, in the form of C2SP tlog-proof
(c2sp.org/tlog-proof@v1): the entry, the hashes, and the signed checkpoint, in
one file, which must not be there yet. 'cloakroom audit check-proof' and other tools check it offline, with
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
			if _, err := os.Lstat(output); output != "" && !force && err == nil {
				return existsAlready(cmd)
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
				return writeProof(cmd, output, proof.Marshal(), force)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "`file` for the proof (default: standard output)")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file of --output")
	return cmd
}

func existsAlready(cmd *cobra.Command) error {
	return wrongUse(cmd, "--output: there is such a file already; --force replaces it")
}

// writeProof makes the file; without force it must not be there.
func writeProof(cmd *cobra.Command, path string, text []byte, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	}
	file, err := os.OpenFile(path, mode, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return existsAlready(cmd)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if closing := file.Close(); err == nil {
		err = closing
	}
	return err
}
