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
	// CopiesExpireTime is by when older copies of the vault are dead, too.
	CopiesExpireTime string `json:"copies_expire_time,omitempty"`
}

func (a *app) deleteCommand() *cobra.Command {
	var etag string
	cmd := &cobra.Command{
		Use:   "delete COLLECTION SUBJECT",
		Short: "Delete a record with all its values; its tokens open to nothing",
		Long: `Delete a record with all its values; its tokens open to nothing from then on.
With the person's last record the person goes, too, and it is shown by when every older
copy of the vault and every backup is dead. There is no way back.`,
		Args: arguments("COLLECTION", "SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var options []cloakroom.DeleteOption
			if etag != "" {
				options = append(options, cloakroom.IfETag(etag))
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				deleted, err := client.DeleteRecord(cmd.Context(), args[0], args[1], options...)
				if err != nil {
					return err
				}
				out := deletedJSON{args[0], args[1], deleted.Values, exactTime(deleted.CopiesExpireTime)}
				return a.print(out, func(t *tableWriter) {
					t.row("SUBJECT", "VALUES DELETED", "OLDER COPIES ARE DEAD BY")
					t.row(args[1], strconv.Itoa(deleted.Values), stamp(deleted.CopiesExpireTime))
				})
			})
		},
	}
	cmd.Flags().StringVar(&etag, "etag", "", "only if this is the record's current etag")
	return cmd
}
