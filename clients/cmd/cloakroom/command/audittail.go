package command

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

func (a *app) auditTailCommand() *cobra.Command {
	var flags auditFlags
	format := formatFlag{forms: []string{"text", "json"}}
	var from string
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow the audit log as it is written",
		Long: `Follow the audit log as it is written, until it is interrupted: one line an
entry, or one JSON object a line. When the connection breaks it is made again, and
no entry is missed.

The columns of a line are: index, time, principal, action, outcome, what it was
done to, person or number of persons, number of items where there are more,
purpose, view, reason. The reason of an alarm is entry: and the index of the entry
that raised it.

With --subject of a person whom the vault does not know, such as one who was
erased, nothing ever comes, and nothing says so: use --handle for one who was
erased.

` + timeHelp,
		Example: `  cloakroom audit tail
  cloakroom audit tail --action reveal --field customers.card_pan
  cloakroom audit tail --from 0 -o json | your-collector`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := flags.read(cmd, a.Now())
			if err != nil {
				return err
			}
			if err := format.check(cmd); err != nil {
				return err
			}
			options := a.tellOfBreaks()
			if from != "" {
				index, err := strconv.ParseUint(from, 10, 63)
				if err != nil {
					return wrongUse(cmd, "--from is the index of an entry, from 0 on")
				}
				options = append(options, cloakroom.FromIndex(index))
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				for e, err := range client.WatchAudit(cmd.Context(), filter, options...) {
					if err != nil {
						if cmd.Context().Err() != nil {
							return nil // interrupting it is the way to end it
						}
						return err
					}
					if err := a.printTailed(e, format.chose); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	flags.add(cmd)
	format.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "begin with the entry of this `index` (default: with what comes from now on)")
	return cmd
}

// tellOfBreaks says once that a watch broke, and once that it works again.
func (a *app) tellOfBreaks() []cloakroom.WatchOption {
	broken := false
	return []cloakroom.WatchOption{
		cloakroom.OnReconnect(func(err error) {
			if !broken {
				fmt.Fprintf(a.Stderr, "cloakroom: the watch broke, and is tried again until it works: %s\n", printable(err.Error()))
			}
			broken = true
		}),
		cloakroom.OnRecovery(func() {
			broken = false
			fmt.Fprintln(a.Stderr, "cloakroom: the watch works again, and no entry was missed")
		}),
	}
}

// printTailed writes an entry on one line, at once.
func (a *app) printTailed(e cloakroom.AuditEntry, form string) error {
	if form == "json" {
		text, err := compactJSON(jsonAuditEntry(e))
		if err == nil {
			_, err = fmt.Fprintln(a.Stdout, text)
		}
		return err
	}
	cells := auditCells(e)
	for i := range cells {
		if cells[i] == "" {
			cells[i] = "-"
		}
		cells[i] = printable(cells[i])
	}
	_, err := fmt.Fprintln(a.Stdout, strings.Join(cells, "  "))
	return err
}
