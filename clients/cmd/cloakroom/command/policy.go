package command

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// appliedJSON is the result of policy apply.
type appliedJSON struct {
	Version   uint64 `json:"version"`
	Changed   bool   `json:"changed"`
	Validated bool   `json:"validate_only"`
}

// policyJSON is the result of policy get.
type policyJSON struct {
	Version   uint64 `json:"version"`
	ApplyTime string `json:"apply_time"`
	AppliedBy string `json:"applied_by"`
	Document  string `json:"document"`
}

func (a *app) policyCommand() *cobra.Command {
	return family("policy", "Apply or show the policy: who may see what, for which purpose", "",
		a.policyApplyCommand(), a.policyGetCommand())
}

func (a *app) policyApplyCommand() *cobra.Command {
	var expect uint64
	var validate bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Replace the policy by a reviewed file",
		Long:  "Replace the policy by a reviewed file; - is standard input. On any mistake nothing\nchanges, and every mistake is listed.",
		Args:  arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			document, err := readFile(&once{source: a.Stdin}, args[0])
			if err != nil {
				return wrongUse(cmd, "FILE: %v", err)
			}
			var options []cloakroom.PolicyOption
			if cmd.Flags().Changed("expect-version") {
				options = append(options, cloakroom.ExpectVersion(expect))
			}
			if validate {
				options = append(options, cloakroom.ValidateOnly())
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				applied, err := client.ApplyPolicy(cmd.Context(), document, options...)
				if err != nil {
					return err
				}
				return a.print(appliedJSON{applied.Version, applied.Changed, validate}, func(t *tableWriter) {
					t.row("VERSION", "CHANGED")
					t.row(strconv.FormatUint(applied.Version, 10), yesNo(applied.Changed))
				})
			})
		},
	}
	cmd.Flags().Uint64Var(&expect, "expect-version", 0, "only if this is the current version; 0 means no policy yet")
	cmd.Flags().BoolVar(&validate, "validate-only", false, "check everything and apply nothing")
	return cmd
}

func (a *app) policyGetCommand() *cobra.Command {
	var version uint64
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Show the policy as it was applied",
		Long:  "Write the policy as it was applied to standard output; who applied it, and when,\ngoes to standard error.",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				p, err := client.GetPolicy(cmd.Context(), version)
				if err != nil {
					return err
				}
				if a.output == "json" {
					return a.print(policyJSON{p.Version, stamp(p.ApplyTime), p.AppliedBy, string(p.Document)}, nil)
				}
				if p.Version == 0 {
					fmt.Fprintln(a.Stderr, "the vault has no policy yet")
					return nil
				}
				fmt.Fprintf(a.Stderr, "version %d, applied %s by %s\n", p.Version, stamp(p.ApplyTime), printable(p.AppliedBy))
				_, err = a.Stdout.Write(p.Document)
				return err
			})
		},
	}
	cmd.Flags().Uint64Var(&version, "version", 0, "the version wanted; 0 means the current one")
	return cmd
}
