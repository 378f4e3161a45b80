package command

import (
	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

func (a *app) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get COLLECTION SUBJECT",
		Short: "Show the tokens of a record, no values",
		Args:  arguments("COLLECTION", "SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				record, err := client.Get(cmd.Context(), args[0], args[1])
				if err != nil {
					return err
				}
				return a.print(jsonRecord(record), func(t *tableWriter) { tableRecord(t, record) })
			})
		},
	}
}
