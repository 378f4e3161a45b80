package command

import (
	"strconv"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// deletedJSON is the result of delete.
type deletedJSON struct {
	Collection    string `json:"collection"`
	SubjectID     string `json:"subject_id"`
	ValuesDeleted int    `json:"values_deleted"`
}

func (a *app) deleteCommand() *cobra.Command {
	var etag string
	cmd := &cobra.Command{
		Use:   "delete COLLECTION SUBJECT",
		Short: "Delete a record with all its values; its tokens open to nothing",
		Long: "Delete a record with all its values; its tokens open to nothing from then on.\n" +
			"With the person's last record the person goes, too. There is no way back.",
		Args: arguments("COLLECTION", "SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var options []cloakroom.DeleteOption
			if etag != "" {
				options = append(options, cloakroom.IfETag(etag))
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				n, err := client.Delete(cmd.Context(), args[0], args[1], options...)
				if err != nil {
					return err
				}
				return a.print(deletedJSON{args[0], args[1], n}, func(t *tableWriter) {
					t.row("SUBJECT", "VALUES DELETED")
					t.row(args[1], strconv.Itoa(n))
				})
			})
		},
	}
	cmd.Flags().StringVar(&etag, "etag", "", "only if this is the record's current etag")
	return cmd
}
