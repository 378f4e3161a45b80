package command

import (
	"strings"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// listJSON is the result of list. More says whether --limit cut it.
type listJSON struct {
	Collection string       `json:"collection"`
	Records    []recordJSON `json:"records"`
	More       bool         `json:"more"`
}

func (a *app) listCommand() *cobra.Command {
	var pageSize, limit int
	cmd := &cobra.Command{
		Use:   "list COLLECTION",
		Short: "List the records of a collection, without values",
		Long:  "List the records of a collection in the order in which their persons first came.",
		Args:  arguments("COLLECTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case pageSize < 0 || pageSize > 1000:
				return wrongUse(cmd, "--page-size is 1 to 1000")
			case limit < 0:
				return wrongUse(cmd, "--limit must not be negative")
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				result := listJSON{Collection: args[0], Records: []recordJSON{}}
				for record, err := range client.List(cmd.Context(), args[0], cloakroom.PageSize(pageSize)) {
					if err != nil {
						return err
					}
					if limit > 0 && len(result.Records) == limit {
						result.More = true
						break
					}
					result.Records = append(result.Records, jsonRecord(record))
				}
				return a.print(result, func(t *tableWriter) {
					t.row("SUBJECT", "ETAG", "UPDATED", "FIELDS")
					for _, r := range result.Records {
						names := make([]string, len(r.Fields))
						for i, f := range r.Fields {
							names[i] = f.Field
						}
						t.row(r.SubjectID, r.ETag, r.UpdateTime, strings.Join(names, ","))
					}
					if result.More {
						t.row("...")
					}
				})
			})
		},
	}
	cmd.Flags().IntVar(&pageSize, "page-size", 0, "records fetched by one call, 1 to 1000 (default 100)")
	cmd.Flags().IntVar(&limit, "limit", 100, "records shown at most; 0 shows all")
	return cmd
}
