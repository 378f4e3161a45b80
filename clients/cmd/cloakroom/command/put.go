package command

import (
	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// storedJSON is the result of put.
type storedJSON struct {
	Record  recordJSON `json:"record"`
	Created bool       `json:"created"`
}

func (a *app) putCommand() *cobra.Command {
	var values valueFlags
	var upsert bool
	cmd := &cobra.Command{
		Use:   "put COLLECTION SUBJECT --field name=value...",
		Short: "Store the record of a person and show its tokens",
		Long:  "Store the record of a person and show its tokens.\n\n" + valueHelp,
		Args:  arguments("COLLECTION", "SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			fields, err := a.readValues(cmd, values)
			if err != nil {
				return err
			}
			if len(fields) == 0 {
				return wrongUse(cmd, "no values: give --field, --data or --file")
			}
			var options []cloakroom.PutOption
			if upsert {
				options = append(options, cloakroom.Upsert())
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				record := cloakroom.RecordInput{SubjectID: args[1], Fields: fields}
				result, err := client.Put(cmd.Context(), args[0], record, options...)
				if err != nil {
					return err
				}
				return a.print(storedJSON{jsonRecord(result.Record), result.Created}, func(t *tableWriter) {
					tableRecord(t, result.Record)
				})
			})
		},
	}
	values.add(cmd)
	cmd.Flags().BoolVar(&upsert, "upsert", false, "change the record if there is one; fields not given stay")
	return cmd
}
