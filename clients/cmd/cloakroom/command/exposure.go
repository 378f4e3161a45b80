package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// exposureHeadJSON is what stands before the rows in JSON.
type exposureHeadJSON struct {
	Summary exposureSummaryJSON `json:"summary"`
}

type exposureSummaryJSON struct {
	AsOf           string      `json:"as_of"`
	FirstIndex     uint64      `json:"first_index"`
	EndIndex       uint64      `json:"end_index"`
	MissingEntries uint64      `json:"missing_entries"`
	Entries        uint64      `json:"entries"`
	Subjects       uint64      `json:"subjects"`
	Reveals        uint64      `json:"reveals"`
	FirstTime      string      `json:"first_time,omitempty"`
	LastTime       string      `json:"last_time,omitempty"`
	Principals     []countJSON `json:"principals"`
	Fields         []countJSON `json:"fields"`
	Purposes       []countJSON `json:"purposes"`
	Views          []countJSON `json:"views"`
	VersionUnknown uint64      `json:"version_unknown"`
	HoneyReveals   uint64      `json:"honey_reveals"`
}

type countJSON struct {
	Name    string `json:"name"`
	Reveals uint64 `json:"reveals"`
}

type exposureRowJSON struct {
	Subject    string   `json:"subject"`
	SubjectID  string   `json:"subject_id,omitempty"`
	Field      string   `json:"field"`
	FirstTime  string   `json:"first_time"`
	LastTime   string   `json:"last_time"`
	Reveals    uint64   `json:"reveals"`
	Views      []string `json:"views"`
	Principals []string `json:"principals"`
	Purposes   []string `json:"purposes"`
}

// exposureFlags say which reveals to count.
type exposureFlags struct {
	principals, roles, fields, versions []string

	window window
	reason reasonFlag
}

func (f *exposureFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.principals, "principal", nil, "reveals to this `principal`, in full: spiffe://… or dns:…")
	flags.StringSliceVar(&f.roles, "role", nil, "reveals to whoever held this role then")
	flags.StringSliceVar(&f.fields, "field", nil, "reveals of this `collection.field`")
	flags.StringSliceVar(&f.versions, "key-version", nil, "reveals of values sealed under this `version` of the key of the one --field")
	f.window.add(cmd, "reveals")
	f.reason.add(cmd)
}

func (f *exposureFlags) read(cmd *cobra.Command, now time.Time) (cloakroom.ExposureQuery, error) {
	q := cloakroom.ExposureQuery{Principals: f.principals, Roles: f.roles, Fields: f.fields, Reason: f.reason.text}
	if err := checkFields(cmd, f.fields); err != nil {
		return q, err
	}
	if err := f.reason.check(cmd); err != nil {
		return q, err
	}
	if len(f.versions) > 0 && len(f.fields) != 1 {
		return q, wrongUse(cmd, "--key-version needs exactly one --field: versions are counted for each field")
	}
	for _, text := range f.versions {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return q, wrongUse(cmd, "--key-version is a number from 1 to 65535")
		}
		q.KeyVersions = append(q.KeyVersions, uint32(n))
	}
	for _, list := range [][]string{f.principals, f.roles, f.fields, f.versions} {
		if len(list) > 100 {
			return q, wrongUse(cmd, "a flag can be given at most 100 times")
		}
	}
	var err error
	q.Since, q.Until, err = f.window.read(cmd, now)
	return q, err
}

func (a *app) exposureCommand() *cobra.Command {
	var flags exposureFlags
	var pack packFlags
	format := formatFlag{forms: []string{"table", "json", "csv"}}
	cmd := &cobra.Command{
		Use:   "exposure",
		Short: "Say whose data was revealed to whom, and prepare what to tell them",
		Long: `Say which persons and fields were revealed, by the audit log: an upper bound of
what was seen. Flags of different names must all match; of a flag given several
times, one. CSV has the rows only, and an apostrophe before a cell that a
spreadsheet would take for a formula.

` + timeHelp + `

With --pack a folder is written instead of rows:

  authority.md, authority.json   facts for the supervisory authority, after Article 33(3)
                                 of the GDPR; what only you know is marked to be filled in
  persons.csv                    the persons, their fields, first and last time
  persons/ or letters.txt        a text to each person in plain words, after Article 34
  deadline.txt                   the 72 hours from --discovered, and the time left

No file holds a value. The folder is for you alone (0700), and names persons by
your ids: delete it when it has served.`,
		Example: `  cloakroom incident exposure --principal spiffe://cloakroom.example/support --since 7d
  cloakroom incident exposure --field customers.card_pan --key-version 2 -o csv > rows.csv
  cloakroom incident exposure --role support --since 2026-11-20 --reason INC-7 \
      --pack inc-7 --discovered 2026-11-22T08:00:00Z --contact "privacy@shop.example"`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := flags.read(cmd, a.Now())
			if err != nil {
				return err
			}
			if err := format.check(cmd); err != nil {
				return err
			}
			if err := pack.check(cmd, a.Now(), &format); err != nil {
				return err
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				e, err := client.Exposure(cmd.Context(), query)
				if err != nil {
					return err
				}
				defer e.Close()
				if e.Summary.MissingEntries > 0 {
					fmt.Fprintf(a.Stderr, "%d older entries were removed by the log's retention: what they held is missing here\n", e.Summary.MissingEntries)
				}
				if e.Summary.VersionUnknown > 0 {
					fmt.Fprintf(a.Stderr, "%d reveals are left out, because the log does not know under which version of the key they were sealed; without --key-version they count\n", e.Summary.VersionUnknown)
				}
				if e.Summary.HoneyReveals > 0 {
					fmt.Fprintf(a.Stderr, "reveals of honey records, which are nobody's, are left out: %d\n", e.Summary.HoneyReveals)
				}
				if pack.dir != "" {
					return a.writePack(cmd, client, query, e, &pack)
				}
				return a.printExposure(e, format.chose)
			})
		},
	}
	flags.add(cmd)
	format.add(cmd)
	pack.add(cmd)
	return cmd
}

// printExposure writes the summary and the rows as they come.
func (a *app) printExposure(e *cloakroom.Exposure, form string) error {
	if form == "table" {
		t := newSheet(a.Stdout, form).table
		tableSummary(t, e.Summary)
		if e.Summary.Reveals == 0 {
			return t.w.Flush()
		}
		t.gap()
	}
	s := newSheet(a.Stdout, form)
	columns := []string{"PERSON", "FIELD", "FIRST", "LAST", "REVEALS", "VIEWS", "PRINCIPALS", "PURPOSES"}
	if form == "csv" {
		columns = []string{"subject", "subject_id", "field", "first_time", "last_time", "reveals", "views", "principals", "purposes"}
	}
	if err := s.begin(columns, exposureHeadJSON{jsonSummary(e.Summary)}, "rows"); err != nil {
		return err
	}
	for r, err := range e.Rows() {
		if err != nil {
			return err
		}
		count := strconv.FormatUint(r.Reveals, 10)
		err = s.row(func() []string {
			if form == "csv" {
				return []string{
					r.Subject, r.SubjectID, r.Field, exactTime(r.FirstTime), exactTime(r.LastTime), count,
					strings.Join(r.Views, " "), strings.Join(r.Principals, " "), strings.Join(r.Purposes, " "),
				}
			}
			person := r.SubjectID
			if person == "" {
				person = "erased: " + r.Subject
			}
			return []string{
				person, r.Field, stamp(r.FirstTime), stamp(r.LastTime), count,
				strings.Join(r.Views, ","), strings.Join(r.Principals, ","), strings.Join(r.Purposes, ","),
			}
		}, func() any {
			return exposureRowJSON{
				r.Subject, r.SubjectID, r.Field, exactTime(r.FirstTime), exactTime(r.LastTime), r.Reveals,
				append([]string{}, r.Views...), append([]string{}, r.Principals...), append([]string{}, r.Purposes...),
			}
		})
		if err != nil {
			return err
		}
	}
	return s.end(struct{}{})
}

func tableSummary(t *tableWriter, s cloakroom.ExposureSummary) {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	t.row("PERSONS", number(s.Subjects))
	t.row("REVEALS", number(s.Reveals))
	t.row("FIRST", stamp(s.FirstTime))
	t.row("LAST", stamp(s.LastTime))
	t.row("LOG", fmt.Sprintf("entries %d to %d, read %s", s.FirstIndex, s.EndIndex, stamp(s.AsOf)))
	for _, c := range []struct {
		name   string
		counts []cloakroom.ExposureCount
	}{{"PRINCIPALS", s.Principals}, {"FIELDS", s.Fields}, {"PURPOSES", s.Purposes}, {"VIEWS", s.Views}} {
		list := make([]string, len(c.counts))
		for i, one := range c.counts {
			list[i] = fmt.Sprintf("%s (%d)", one.Name, one.Reveals)
		}
		t.row(c.name, strings.Join(list, ", "))
	}
}

func jsonSummary(s cloakroom.ExposureSummary) exposureSummaryJSON {
	counts := func(list []cloakroom.ExposureCount) []countJSON {
		out := make([]countJSON, len(list))
		for i, c := range list {
			out[i] = countJSON(c)
		}
		return out
	}
	return exposureSummaryJSON{
		exactTime(s.AsOf), s.FirstIndex, s.EndIndex, s.MissingEntries, s.Entries, s.Subjects, s.Reveals,
		exactTime(s.FirstTime), exactTime(s.LastTime),
		counts(s.Principals), counts(s.Fields), counts(s.Purposes), counts(s.Views),
		s.VersionUnknown, s.HoneyReveals,
	}
}
