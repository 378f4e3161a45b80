package command

import (
	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// revealedRecordJSON is the result of record.
type revealedRecordJSON struct {
	Collection string              `json:"collection"`
	SubjectID  string              `json:"subject_id"`
	ETag       string              `json:"etag"`
	CreateTime string              `json:"create_time"`
	UpdateTime string              `json:"update_time"`
	Fields     []revealedFieldJSON `json:"fields"`
}

type revealedFieldJSON struct {
	Field string         `json:"field"`
	Items []revealedJSON `json:"items"`
	Error *errorJSON     `json:"error,omitempty"`
}

func (a *app) recordCommand() *cobra.Command {
	var flags purposeFlags
	var fields []string
	cmd := &cobra.Command{
		Use:   "record COLLECTION SUBJECT --purpose PURPOSE",
		Short: "Reveal the values of a record, for a purpose; every look is written down",
		Long: `Reveal the values of a record, for a purpose: every field that you may see for
it, or those that --fields names. Every look is written to the audit log of the
vault before the values leave it.`,
		Args: arguments("COLLECTION", "SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			given, err := flags.options(cmd)
			if err != nil {
				return err
			}
			options := []cloakroom.ReadOption{cloakroom.OnlyFields(fields...)}
			for _, o := range given {
				options = append(options, o)
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				record, err := client.ReadRecord(cmd.Context(), args[0], args[1], flags.purpose, options...)
				if err != nil {
					return err
				}
				return a.printRecord(args[0], args[1], record)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringSliceVar(&fields, "fields", nil, "only these `fields`, separated by commas")
	return cmd
}

func (a *app) printRecord(collection, subject string, record cloakroom.RevealedRecord) error {
	out := revealedRecordJSON{
		collection, subject, record.ETag, stamp(record.CreateTime), stamp(record.UpdateTime),
		make([]revealedFieldJSON, len(record.Fields)),
	}
	failed := false
	for i, f := range record.Fields {
		items := make([]revealedJSON, len(f.Items))
		for j, item := range f.Items {
			items[j] = jsonRevealed("", item)
			failed = failed || item.Err != nil
		}
		out.Fields[i] = revealedFieldJSON{f.Field, items, jsonError(f.Err)}
		failed = failed || f.Err != nil
	}
	err := a.print(out, func(t *tableWriter) {
		t.row("FIELD", "VIEW", "VALUE")
		for _, f := range record.Fields {
			switch {
			case f.Err != nil:
				t.row(f.Field, "", "error: "+f.Err.Error())
			case len(f.Items) == 0:
				t.row(f.Field, "", "")
			}
			for _, item := range f.Items {
				view, value := cells(item)
				t.row(f.Field, view, value)
			}
		}
	})
	if err == nil && failed {
		err = &partialError{"some fields were not revealed"}
	}
	return err
}
