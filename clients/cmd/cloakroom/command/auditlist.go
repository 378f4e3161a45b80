package command

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// auditListTail is what stands behind the entries in JSON. More says whether
// --limit cut them.
type auditListTail struct {
	More       bool   `json:"more"`
	FirstIndex uint64 `json:"first_index"`
	LogSize    uint64 `json:"log_size"`
}

func (a *app) auditListCommand() *cobra.Command {
	var flags auditFlags
	format := formatFlag{forms: []string{"table", "json", "csv"}}
	var limit int
	var newest bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List entries of the audit log",
		Long: `List entries of the audit log, in its order or, with --newest, from its end.
Flags of different names must all match; of a flag given several times, one. With
--subject, --handle or --field only the items that match are shown.

COUNT is the number of items, where there are more than the persons. The REASON of
an alarm is entry: and the index of the entry that raised it; 'cloakroom audit
show' shows it in full.

` + timeHelp + `

CSV has one row for each item. It is meant for spreadsheets: a cell that one would
take for a formula begins with an apostrophe.`,
		Example: `  cloakroom audit list --newest --limit 20
  cloakroom audit list --subject C0000001 --action reveal --since 30d
  cloakroom audit list --outcome refused --since 2026-11-01 --limit 0 -o csv > refused.csv`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := flags.read(cmd, a.Now())
			if err != nil {
				return err
			}
			if limit < 0 {
				return wrongUse(cmd, "--limit must not be negative")
			}
			if err := format.check(cmd); err != nil {
				return err
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				l := auditLister{app: a, client: client, filter: filter, limit: limit, sheet: newSheet(a.Stdout, format.chose)}
				if newest {
					l.options = append(l.options, cloakroom.NewestFirst())
				}
				err := l.run(cmd)
				if err == nil && l.shown == 0 {
					flags.missed(a.Stderr)
				}
				return err
			})
		},
	}
	flags.add(cmd)
	format.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "entries shown at most; 0 shows all")
	cmd.Flags().BoolVar(&newest, "newest", false, "newest first")
	return cmd
}

// auditLister fetches pages and writes them.
type auditLister struct {
	*app
	client  *cloakroom.Client
	filter  cloakroom.AuditFilter
	options []cloakroom.AuditOption
	limit   int
	sheet   *sheet
	shown   int
}

func (l *auditLister) run(cmd *cobra.Command) error {
	var tail auditListTail
	for next, first := "", true; first || next != "" && !tail.More; first = false {
		size := 1000
		if l.limit > 0 {
			size = min(size, l.limit-l.shown+1) // one more, to know whether there is one
		}
		page, err := l.client.AuditPage(cmd.Context(), l.filter, next, append(l.options, cloakroom.PageSize(size))...)
		if err != nil {
			return err
		}
		if first {
			if err := l.begin(); err != nil {
				return err
			}
		}
		for _, e := range page.Entries {
			if l.limit > 0 && l.shown == l.limit {
				tail.More = true
				break
			}
			l.shown++
			if err := l.write(e); err != nil {
				return err
			}
		}
		next, tail.FirstIndex, tail.LogSize = page.Next, page.FirstIndex, page.LogSize
	}
	if tail.More && l.sheet.form == "table" {
		l.sheet.table.row("...")
	}
	if err := l.sheet.end(tail); err != nil {
		return err
	}
	if tail.FirstIndex > 0 && l.sheet.form != "json" {
		fmt.Fprintf(l.Stderr, "entries before %d were removed by the log's retention\n", tail.FirstIndex)
	}
	return nil
}

func (l *auditLister) begin() error {
	columns := auditColumns()
	if l.sheet.form == "csv" {
		columns = []string{
			"index", "id", "time", "request_id", "principal", "action", "purpose", "view", "reason", "policy_version", "collection",
			"object", "outcome", "refusal", "count", "subject", "field", "item", "item_outcome", "item_refusal", "key_version", "hash",
		}
	}
	return l.sheet.begin(columns, struct{}{}, "entries")
}

func (l *auditLister) write(e cloakroom.AuditEntry) error {
	object := func() any { return jsonAuditEntry(e) }
	if l.sheet.form != "csv" {
		return l.sheet.row(func() []string { return auditCells(e) }, object)
	}
	entry := []string{
		strconv.FormatUint(e.Index, 10), e.ID, exactTime(e.Time), e.RequestID, e.Principal, e.Action, e.Purpose, e.View, e.Reason,
		strconv.FormatUint(e.PolicyVersion, 10), e.Collection, e.Object, string(e.Outcome), e.Refusal, strconv.FormatUint(uint64(e.Count), 10),
	}
	if len(e.Items) == 0 {
		return l.sheet.row(func() []string { return append(entry, "", "", "", "", "", "", "") }, object)
	}
	for _, it := range e.Items {
		cells := append(entry[:len(entry):len(entry)], it.Subject, it.Field, strconv.FormatUint(uint64(it.Item), 10),
			string(it.Outcome), it.Refusal, strconv.FormatUint(uint64(it.KeyVersion), 10), hex.EncodeToString(it.Hash))
		if err := l.sheet.row(func() []string { return cells }, object); err != nil {
			return err
		}
	}
	return nil
}
