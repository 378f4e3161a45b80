package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

func newAuditCosign() *cobra.Command {
	var witnesses []string
	c := &cobra.Command{
		Use:   "cosign DIR NOTE --witness FILE",
		Short: "Add the signatures of witnesses to the last checkpoint",
		Long: `Add the cosignatures that witnesses put on a checkpoint to the one in DIR, the
directory of the log. NOTE is the file that a witness gave back: the checkpoint
with its line added, after C2SP tlog-cosignature. Only lines of the witnesses
whose verifier keys --witness names are taken, and only if NOTE is the last
checkpoint still. They stay until the next one is made, which is within a second
of the next entry. The daemon may be running.`,
		Args: exactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if len(witnesses) == 0 {
				return usageError{errors.New("--witness is missing: a file with the verifier key of a witness, once for each")}
			}
			var known []note.Verifier
			for _, path := range witnesses {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				w, err := tree.NewWitness(string(text))
				if err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
				known = append(known, w)
			}
			cosigned, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			added, err := tree.AddCosignatures(filepath.Join(args[0], audit.TreeDir), cosigned, known...)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%d cosignature(s) added to the checkpoint\n", added)
			return nil
		},
	}
	c.Flags().StringArrayVar(&witnesses, "witness", nil, "file with the verifier key of a witness; may be given several times")
	return c
}
