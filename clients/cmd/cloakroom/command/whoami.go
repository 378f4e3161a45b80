package command

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// identityJSON is the result of whoami.
type identityJSON struct {
	Principal     string   `json:"principal"`
	Known         bool     `json:"known"`
	Roles         []string `json:"roles"`
	PolicyVersion uint64   `json:"policy_version"`
}

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "whoami",
		Short: "Show whom the vault takes you for, and your roles",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				me, err := client.WhoAmI(cmd.Context())
				if err != nil {
					return err
				}
				out := identityJSON{me.Principal, me.Known, append([]string{}, me.Roles...), me.PolicyVersion}
				return a.print(out, func(t *tableWriter) {
					t.row("PRINCIPAL", me.Principal)
					t.row("KNOWN", yesNo(me.Known))
					t.row("ROLES", strings.Join(me.Roles, ", "))
					t.row("POLICY VERSION", strconv.FormatUint(me.PolicyVersion, 10))
				})
			})
		},
	}
}
