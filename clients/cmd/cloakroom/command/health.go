package command

import (
	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// healthJSON is the result of health when the vault serves; otherwise the
// command fails.
type healthJSON struct {
	Status string `json:"status"`
}

func (a *app) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Say whether the vault serves; exit code 1 if not",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				if err := client.Health(cmd.Context()); err != nil {
					return err
				}
				return a.print(healthJSON{"serving"}, func(t *tableWriter) { t.row("serving") })
			})
		},
	}
}
