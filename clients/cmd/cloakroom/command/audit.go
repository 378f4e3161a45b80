package command

import (
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

func (a *app) auditCommand() *cobra.Command {
	return family("audit", "Read the audit log, and verify it",
		`Read the audit log of the vault, and verify it without trust in the vault.

The log says who asked for what and what was decided. It holds no value and no
token. Persons stand in it as handles; --subject finds the entries of a person by
your own id.`,
		a.auditListCommand(), a.auditShowCommand(), a.auditTailCommand(),
		a.auditVerifyCommand(), a.auditProofCommand(), a.auditCheckProofCommand())
}

// auditFlags narrow entries.
type auditFlags struct {
	principals, subjects, handles, fields, purposes, actions []string

	outcome string
	window  window
}

func (f *auditFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.principals, "principal", nil, "of this `principal`, in full: spiffe://… or dns:…")
	flags.StringArrayVar(&f.subjects, "subject", nil, "about the person of this `id`; nothing matches one whom the vault does not know now, such as one erased")
	flags.StringArrayVar(&f.handles, "handle", nil, "about the person of this `handle`, 32 hexadecimal digits")
	flags.StringSliceVar(&f.fields, "field", nil, "about this `collection.field`")
	flags.StringSliceVar(&f.purposes, "purpose", nil, "for this purpose")
	flags.StringSliceVar(&f.actions, "action", nil, "of this action, such as reveal")
	flags.StringVar(&f.outcome, "outcome", "", "allowed, refused or mixed")
	f.window.add(cmd, "entries")
	outcomes := []string{"allowed", "refused", "mixed"}
	_ = cmd.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(outcomes, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
}

// read checks the flags. Its errors repeat no id of a person.
func (f *auditFlags) read(cmd *cobra.Command, now time.Time) (cloakroom.AuditFilter, error) {
	filter := cloakroom.AuditFilter{
		Principals: f.principals, SubjectIDs: f.subjects, Subjects: f.handles, Fields: f.fields,
		Purposes: f.purposes, Actions: f.actions, Outcome: cloakroom.Outcome(f.outcome),
	}
	if !slices.Contains([]string{"", "allowed", "refused", "mixed"}, f.outcome) {
		return filter, wrongUse(cmd, "--outcome is allowed, refused or mixed")
	}
	for _, h := range f.handles {
		if b, err := hex.DecodeString(h); err != nil || len(b) != 16 || strings.ToLower(h) != h {
			return filter, wrongUse(cmd, "--handle is 32 hexadecimal digits in lower case, as the log shows them")
		}
	}
	if err := checkFields(cmd, f.fields); err != nil {
		return filter, err
	}
	for _, list := range [][]string{f.principals, f.subjects, f.handles, f.fields, f.purposes, f.actions} {
		if len(list) > 100 {
			return filter, wrongUse(cmd, "a flag can be given at most 100 times")
		}
	}
	var err error
	filter.Since, filter.Until, err = f.window.read(cmd, now)
	return filter, err
}

// checkFields demands the form collection.field.
func checkFields(cmd *cobra.Command, fields []string) error {
	for _, field := range fields {
		if collection, name, found := strings.Cut(field, "."); !found || collection == "" || name == "" {
			return wrongUse(cmd, "--field is collection.field, such as customers.email")
		}
	}
	return nil
}

// auditEntryJSON is an entry of the log.
type auditEntryJSON struct {
	Index         uint64          `json:"index"`
	ID            string          `json:"id"`
	Time          string          `json:"time"`
	RequestID     string          `json:"request_id,omitempty"`
	Principal     string          `json:"principal,omitempty"`
	Action        string          `json:"action"`
	Purpose       string          `json:"purpose,omitempty"`
	View          string          `json:"view,omitempty"`
	Reason        string          `json:"reason,omitempty"`
	PolicyVersion uint64          `json:"policy_version"`
	Collection    string          `json:"collection,omitempty"`
	Object        string          `json:"object,omitempty"`
	Outcome       string          `json:"outcome"`
	Refusal       string          `json:"refusal,omitempty"`
	Count         uint32          `json:"count"`
	Items         []auditItemJSON `json:"items,omitempty"`
}

type auditItemJSON struct {
	Subject string `json:"subject,omitempty"`
	Field   string `json:"field,omitempty"`
	// FieldNumber stands for Field in an entry that was read offline.
	FieldNumber uint32 `json:"field_number,omitempty"`
	Item        uint32 `json:"item"`
	Outcome     string `json:"outcome"`
	Refusal     string `json:"refusal,omitempty"`
	KeyVersion  uint32 `json:"key_version,omitempty"`
	Hash        string `json:"hash,omitempty"`
}

func jsonAuditEntry(e cloakroom.AuditEntry) auditEntryJSON {
	out := auditEntryJSON{
		e.Index, e.ID, exactTime(e.Time), e.RequestID, e.Principal, e.Action, e.Purpose, e.View, e.Reason,
		e.PolicyVersion, e.Collection, e.Object, string(e.Outcome), e.Refusal, e.Count, nil,
	}
	for _, it := range e.Items {
		out.Items = append(out.Items, auditItemJSON{
			it.Subject, it.Field, 0, it.Item, string(it.Outcome), it.Refusal, it.KeyVersion, hex.EncodeToString(it.Hash),
		})
	}
	return out
}

// auditColumns are those of a line that shows an entry.
func auditColumns() []string {
	return []string{"INDEX", "TIME", "PRINCIPAL", "ACTION", "OUTCOME", "WHAT", "PERSONS", "COUNT", "PURPOSE", "VIEW", "REASON"}
}

// auditCells shows an entry on one line.
func auditCells(e cloakroom.AuditEntry) []string {
	var fields, subjects, refusals []string
	note := func(list *[]string, name string) {
		if name != "" && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	note(&refusals, e.Refusal)
	for _, it := range e.Items {
		note(&fields, it.Field)
		note(&subjects, it.Subject)
		note(&refusals, it.Refusal)
	}
	what := e.Object
	switch {
	case what == "" && len(fields) > 0:
		what = firstOf(fields)
	case what == "":
		what = e.Collection
	}
	persons := ""
	switch len(subjects) {
	case 0:
	case 1:
		persons = subjects[0]
	default:
		persons = strconv.Itoa(len(subjects))
	}
	outcome := string(e.Outcome)
	if len(refusals) > 0 {
		outcome = fmt.Sprintf("%s:%s", outcome, strings.Join(refusals, ","))
	}
	count := ""
	if int64(e.Count) > int64(len(subjects)) {
		count = strconv.FormatUint(uint64(e.Count), 10)
	}
	return []string{
		strconv.FormatUint(e.Index, 10), stamp(e.Time), e.Principal, e.Action, outcome, what, persons, count, e.Purpose, e.View, e.Reason,
	}
}

// maxNamed is how many fields a line of the log names.
const maxNamed = 3

// firstOf names the first of a list, and says how many more there are.
func firstOf(names []string) string {
	if len(names) <= maxNamed {
		return strings.Join(names, ",")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ","), len(names)-maxNamed)
}

// missed says what may be the reason when nothing was found.
func (f *auditFlags) missed(w io.Writer) {
	notePrincipals(w, f.principals)
	if len(f.subjects) > 0 {
		fmt.Fprintln(w, "nothing was found: it may be that the vault knows no person of this id (now); for one who was erased use --handle")
	}
}

// notePrincipals says how a principal looks when one of them does not look so.
func notePrincipals(w io.Writer, principals []string) {
	if slices.ContainsFunc(principals, func(p string) bool { return !strings.ContainsAny(p, "/:") }) {
		fmt.Fprintln(w, "nothing was found: "+principalForm)
	}
}

// principalForm is how principals look.
const principalForm = "a principal looks like spiffe://cloakroom.example/support, or dns: and the name of a host"
