package command

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// descriptionsJSON is the result of describe.
type descriptionsJSON struct {
	Tokens []descriptionJSON `json:"tokens"`
}

type descriptionJSON struct {
	Token      string     `json:"token"`
	Collection string     `json:"collection,omitempty"`
	Field      string     `json:"field,omitempty"`
	Type       string     `json:"type,omitempty"`
	Category   string     `json:"category,omitempty"`
	Domain     string     `json:"domain,omitempty"`
	Purposes   []string   `json:"purposes,omitempty"`
	Latest     bool       `json:"latest,omitempty"`
	Error      *errorJSON `json:"error,omitempty"`
}

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "describe TOKEN...",
		Short: "Say what tokens stand for, without their values",
		Long:  "Say what tokens stand for, without their values. With - tokens are read from\nstandard input, one a line.",
		Args:  atLeastOne("token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			tokens, err := a.tokens(cmd, args)
			if err != nil {
				return err
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				results, err := client.Describe(cmd.Context(), tokens)
				if err != nil {
					return err
				}
				if len(results) == 1 && results[0].Err != nil {
					return results[0].Err
				}
				out := descriptionsJSON{Tokens: make([]descriptionJSON, len(results))}
				failed := 0
				for i, r := range results {
					out.Tokens[i] = descriptionJSON{tokens[i], r.Collection, r.Field, r.Type, r.Category, r.Domain, r.Purposes, r.Latest, jsonError(r.Err)}
					if r.Err != nil {
						failed++
					}
				}
				err = a.print(out, func(t *tableWriter) {
					t.row("TOKEN", "FIELD", "TYPE", "CATEGORY", "DOMAIN", "PURPOSES", "LATEST")
					for i, r := range results {
						if r.Err != nil {
							t.row(tokens[i], "error: "+r.Err.Error())
							continue
						}
						t.row(tokens[i], r.Collection+"."+r.Field, r.Type, r.Category, r.Domain, strings.Join(r.Purposes, ","), yesNo(r.Latest))
					}
				})
				return inPart(err, failed, len(results))
			})
		},
	}
}

// tokens returns the arguments, with the lines of standard input in place of
// "-". Blank lines are left out.
func (a *app) tokens(cmd *cobra.Command, args []string) ([]string, error) {
	var tokens []string
	read := false
	for _, arg := range args {
		if arg != "-" {
			tokens = append(tokens, arg)
			continue
		}
		if read {
			return nil, wrongUse(cmd, "- can be given once")
		}
		read = true
		lines := bufio.NewScanner(a.Stdin)
		for lines.Scan() {
			if token := strings.TrimSpace(lines.Text()); token != "" {
				tokens = append(tokens, token)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, wrongUse(cmd, "standard input: %v", err)
		}
	}
	if len(tokens) == 0 {
		return nil, wrongUse(cmd, "no tokens on standard input")
	}
	return tokens, nil
}

// inPart turns failed items into an error, after the output has succeeded.
func inPart(err error, failed, all int) error {
	if err != nil || failed == 0 {
		return err
	}
	return &partialError{fmt.Sprintf("%d of %d tokens failed", failed, all)}
}
