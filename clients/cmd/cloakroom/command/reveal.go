package command

import (
	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// revealJSON is the result of reveal, in the order of the tokens given.
type revealJSON struct {
	Items []revealedJSON `json:"items"`
}

// purposeFlags are the flags of every command that reveals.
type purposeFlags struct{ purpose, view, reason string }

func (f *purposeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.purpose, "purpose", "", "what the values are needed for; required")
	cmd.Flags().StringVar(&f.view, "view", "", "plain or masked (default: the widest that you may see)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "a code or ticket for the audit log; no personal data")
}

// options checks the flags.
func (f *purposeFlags) options(cmd *cobra.Command) ([]cloakroom.RevealReadOption, error) {
	if f.purpose == "" {
		return nil, wrongUse(cmd, "--purpose is required: it says what the values are needed for")
	}
	view, err := cloakroom.ParseView(f.view)
	if err != nil {
		return nil, wrongUse(cmd, "--view: %v", err)
	}
	return []cloakroom.RevealReadOption{cloakroom.AsView(view), cloakroom.Reason(f.reason)}, nil
}

func (a *app) revealCommand() *cobra.Command {
	var flags purposeFlags
	cmd := &cobra.Command{
		Use:   "reveal TOKEN... --purpose PURPOSE",
		Short: "Reveal the values of tokens, for a purpose; every look is written down",
		Long: `Reveal the values of tokens, for a purpose. Every look is written to the audit
log of the vault before the value leaves it.

With - tokens are read from standard input, one a line.`,
		Args: atLeastOne("token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			given, err := flags.options(cmd)
			if err != nil {
				return err
			}
			tokens, err := a.tokens(cmd, args)
			if err != nil {
				return err
			}
			options := make([]cloakroom.RevealOption, len(given))
			for i, o := range given {
				options[i] = o
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				results, err := client.Detokenize(cmd.Context(), tokens, flags.purpose, options...)
				if err != nil {
					return err
				}
				if len(results) == 1 && results[0].Err != nil {
					return results[0].Err
				}
				return a.printRevealed(tokens, results)
			})
		},
	}
	flags.add(cmd)
	return cmd
}

func (a *app) printRevealed(tokens []string, results []cloakroom.Revealed) error {
	out := revealJSON{Items: make([]revealedJSON, len(results))}
	failed := 0
	for i, r := range results {
		out.Items[i] = jsonRevealed(tokens[i], r)
		if r.Err != nil {
			failed++
		}
	}
	err := a.print(out, func(t *tableWriter) {
		t.row("TOKEN", "VIEW", "VALUE")
		for i, r := range results {
			view, value := cells(r)
			t.row(tokens[i], view, value)
		}
	})
	return inPart(err, failed, len(results))
}
