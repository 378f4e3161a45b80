package command

import (
	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// honeyListJSON is the result of incident honey list.
type honeyListJSON struct {
	Records []honeyJSON `json:"records"`
}

// honeyJSON is a honey record, and the result of incident honey add and remove.
type honeyJSON struct {
	SubjectID string `json:"subject_id"`
	Refuse    bool   `json:"refuse"`
	Reason    string `json:"reason"`
	MarkedBy  string `json:"marked_by,omitempty"`
	MarkTime  string `json:"mark_time,omitempty"`
}

func (a *app) honeyAddCommand() *cobra.Command {
	reason := reasonFlag{required: true}
	var refuse bool
	cmd := &cobra.Command{
		Use:   "add SUBJECT --reason CODE",
		Short: "Mark a made-up person; a reveal of it raises an alarm",
		Long: `Mark a person as a honey record: made up, and stored like any other, so that
nobody has a reason to look. A reveal of it raises an alarm. It is answered as
usual or, with --refuse, as if there were nothing.`,
		Example: "  cloakroom incident honey add C0009999 --reason TRAP-1",
		Args:    arguments("SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := reason.check(cmd); err != nil {
				return err
			}
			var options []cloakroom.HoneyOption
			if refuse {
				options = append(options, cloakroom.RefuseReveals())
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				if err := client.MarkHoney(cmd.Context(), args[0], reason.text, options...); err != nil {
					return err
				}
				return a.print(honeyJSON{SubjectID: args[0], Refuse: refuse, Reason: reason.text}, func(t *tableWriter) {
					t.row("SUBJECT", "REFUSES")
					t.row(args[0], yesNo(refuse))
				})
			})
		},
	}
	reason.add(cmd)
	cmd.Flags().BoolVar(&refuse, "refuse", false, "answer reveals as if there were nothing")
	return cmd
}

func (a *app) honeyRemoveCommand() *cobra.Command {
	reason := reasonFlag{required: true}
	cmd := &cobra.Command{
		Use:   "remove SUBJECT --reason CODE",
		Short: "Take the mark of a honey record back; the record stays",
		Args:  arguments("SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := reason.check(cmd); err != nil {
				return err
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				if err := client.UnmarkHoney(cmd.Context(), args[0], reason.text); err != nil {
					return err
				}
				return a.print(honeyJSON{SubjectID: args[0], Reason: reason.text}, func(t *tableWriter) {
					t.row("NO HONEY RECORD ANY MORE")
					t.row(args[0])
				})
			})
		},
	}
	reason.add(cmd)
	return cmd
}

func (a *app) honeyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the honey records",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				records, err := client.HoneyRecords(cmd.Context())
				if err != nil {
					return err
				}
				out := honeyListJSON{Records: make([]honeyJSON, len(records))}
				for i, h := range records {
					out.Records[i] = honeyJSON{h.SubjectID, h.Refuse, h.Reason, h.MarkedBy, exactTime(h.Time)}
				}
				return a.print(out, func(t *tableWriter) {
					t.row("SUBJECT", "REFUSES", "REASON", "MARKED BY", "SINCE")
					for _, h := range records {
						t.row(h.SubjectID, yesNo(h.Refuse), h.Reason, h.MarkedBy, stamp(h.Time))
					}
				})
			})
		},
	}
}
