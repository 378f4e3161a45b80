package command

import (
	"slices"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

func (a *app) updateCommand() *cobra.Command {
	var values valueFlags
	var remove []string
	var etag string
	cmd := &cobra.Command{
		Use:   "update COLLECTION SUBJECT [--field name=value...] [--clear field...]",
		Short: "Replace or remove values of a record; tokens survive",
		Long: "Replace or remove values of a record. Fields that are not given stay. The token\n" +
			"of a value stands for the new value from then on.\n\n" + valueHelp,
		Args: arguments("COLLECTION", "SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			fields, err := a.readValues(cmd, values)
			if err != nil {
				return err
			}
			if len(fields) == 0 && len(remove) == 0 {
				return wrongUse(cmd, "nothing to change: give --field, --data, --file or --clear")
			}
			for field := range fields {
				if slices.Contains(remove, field) {
					return wrongUse(cmd, "field %q is both given and cleared", field)
				}
			}
			options := []cloakroom.UpdateOption{cloakroom.Clear(remove...)}
			if etag != "" {
				options = append(options, cloakroom.IfETag(etag))
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				record := cloakroom.RecordInput{SubjectID: args[1], Fields: fields}
				changed, err := client.Update(cmd.Context(), args[0], record, options...)
				if err != nil {
					return err
				}
				return a.print(jsonRecord(changed), func(t *tableWriter) { tableRecord(t, changed) })
			})
		},
	}
	values.add(cmd)
	cmd.Flags().StringSliceVar(&remove, "clear", nil, "remove the values of these `fields`")
	cmd.Flags().StringVar(&etag, "etag", "", "only if this is the record's current etag")
	return cmd
}
