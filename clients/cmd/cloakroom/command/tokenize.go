package command

import (
	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// tokenJSON is the result of tokenize.
type tokenJSON struct {
	Token string `json:"token"`
	// Stored says whether the value was stored by this call.
	Stored bool `json:"stored"`
}

func (a *app) tokenizeCommand() *cobra.Command {
	var binary bool
	cmd := &cobra.Command{
		Use:   "tokenize COLLECTION FIELD SUBJECT < VALUE",
		Short: "Store one value of a person, if need be, and show its token",
		Long: `Store one value of a person, if need be, and show its token. The same value
gives the same token again.

The value is read from standard input, without the newline at its end, because
other users of the machine can see the command line.`,
		Example: `  printf %s ada@example.org | cloakroom tokenize customers email C0000001`,
		Args:    arguments("COLLECTION", "FIELD", "SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			content, err := readLimited(a.Stdin)
			if err != nil {
				return wrongUse(cmd, "standard input: %v", err)
			}
			value := cloakroom.Bytes(content)
			if !binary {
				value = cloakroom.Text(line(content))
			}
			if value.Len() == 0 {
				return wrongUse(cmd, "no value on standard input")
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				items := []cloakroom.TokenizeItem{{SubjectID: args[2], Value: value}}
				results, err := client.Tokenize(cmd.Context(), args[0], args[1], items)
				if err != nil {
					return err
				}
				if results[0].Err != nil {
					return results[0].Err
				}
				return a.print(tokenJSON{results[0].Token, results[0].Stored}, func(t *tableWriter) {
					t.row("TOKEN", "STORED")
					t.row(results[0].Token, yesNo(results[0].Stored))
				})
			})
		},
	}
	cmd.Flags().BoolVar(&binary, "bytes", false, "take standard input as it is, for fields of type bytes")
	return cmd
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
