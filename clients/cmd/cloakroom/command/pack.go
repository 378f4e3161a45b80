package command

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/breach"
	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// packJSON is the result of incident exposure --pack.
type packJSON struct {
	Folder  string              `json:"folder"`
	Summary exposureSummaryJSON `json:"summary"`
	Letters uint64              `json:"letters"`
	// Erased is the number of persons who were erased since.
	Erased   uint64 `json:"erased"`
	Deadline string `json:"deadline"`
}

// packFlags say what to write for whom.
type packFlags struct {
	dir, discoveredText, language, contact, policy string

	discovered time.Time
	form       string
	categories map[string]string // of --policy; nil without it
}

func (f *packFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "pack", "", "write the files for the authority and the persons into this new `folder`")
	flags.StringVar(&f.discoveredText, "discovered", "", "`time` at which you became aware: the 72 hours begin; required with --pack")
	flags.StringVar(&f.language, "language", "en", "language of the files")
	flags.StringVar(&f.contact, "contact", "", "whom to ask: name and address of your data protection officer, as `text`")
	flags.StringVar(&f.policy, "policy", "", "`file` with the policy, for the categories of data, if you may not read it from the vault")
	languages := breach.Languages()
	_ = cmd.RegisterFlagCompletionFunc("language", cobra.FixedCompletions(languages, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
}

func (f *packFlags) check(cmd *cobra.Command, now time.Time, format *formatFlag) error {
	if f.dir == "" {
		for _, name := range []string{"discovered", "language", "contact", "policy"} {
			if cmd.Flags().Changed(name) {
				return wrongUse(cmd, "--%s is for --pack", name)
			}
		}
		return nil
	}
	f.form = format.chose
	if f.form == "csv" {
		return wrongUse(cmd, "--output is table or json with --pack, which writes persons.csv itself")
	}
	if f.discoveredText == "" {
		return wrongUse(cmd, "--discovered is required with --pack: the 72 hours begin when you became aware")
	}
	var err error
	if f.discovered, err = parseTime(f.discoveredText, now); err != nil {
		return wrongUse(cmd, "--discovered: %v", err)
	}
	if f.discovered.After(now) {
		return wrongUse(cmd, "--discovered is in the future")
	}
	if err := breach.CheckLanguage(f.language); err != nil {
		return wrongUse(cmd, "--language: %v", err)
	}
	if err := breach.CheckFolder(f.dir); err != nil {
		return wrongUse(cmd, "--pack: %v", err)
	}
	if f.policy == "" {
		return nil
	}
	if f.policy == "-" {
		return wrongUse(cmd, "--policy is a file")
	}
	document, err := readFile(nil, f.policy)
	if err == nil {
		f.categories, err = categories(document)
	}
	if err != nil {
		return wrongUse(cmd, "--policy: %v", err)
	}
	return nil
}

// writePack writes the folder. What the caller may not read is left to be filled
// in.
func (a *app) writePack(cmd *cobra.Command, client *cloakroom.Client, query cloakroom.ExposureQuery, e *cloakroom.Exposure, f *packFlags) error {
	facts := breach.Facts{
		Query: query, Summary: e.Summary, Discovered: f.discovered, Made: a.Now(), Contact: f.contact, Language: f.language,
	}
	freezes, err := client.Freezes(cmd.Context())
	switch {
	case denied(err):
		fmt.Fprintln(a.Stderr, "you may not list freezes: the measures are left to be filled in")
	case err != nil:
		return err
	default:
		facts.Freezes, facts.FreezesKnown = freezes, true
	}
	if facts.Categories = f.categories; facts.Categories == nil {
		policy, err := client.GetPolicy(cmd.Context(), 0)
		if err == nil {
			facts.Categories, err = categories(policy.Document)
		}
		if denied(err) || errors.Is(err, errPolicyForm) {
			fmt.Fprintln(a.Stderr, "the policy cannot be read: categories of data are left to be filled in; --policy takes a copy")
		} else if err != nil {
			return err
		}
	}
	written, err := breach.Write(f.dir, facts, e.Rows())
	if err != nil {
		return err
	}
	out := packJSON{f.dir, jsonSummary(e.Summary), written.Letters, written.Erased, exactTime(written.Deadline)}
	if f.form == "json" {
		text, err := compactJSON(out)
		if err == nil {
			_, err = fmt.Fprintln(a.Stdout, text)
		}
		return err
	}
	return a.print(out, func(t *tableWriter) {
		tableSummary(t, e.Summary)
		t.gap()
		t.row("FOLDER", f.dir)
		t.row("LETTERS", fmt.Sprint(written.Letters))
		t.row("ERASED SINCE", fmt.Sprint(written.Erased))
		t.row("DEADLINE", stamp(written.Deadline))
	})
}

// errPolicyForm is a policy of a form that this program does not know.
var errPolicyForm = errors.New("the policy is of an unknown form")

// categories returns the category of each field of a policy, by
// "collection.field".
func categories(document []byte) (map[string]string, error) {
	var policy struct {
		Collections []struct {
			Name   string
			Fields []struct{ Name, Category string }
		}
	}
	if yaml.Unmarshal(document, &policy) != nil {
		return nil, errPolicyForm
	}
	found := map[string]string{}
	for _, c := range policy.Collections {
		for _, f := range c.Fields {
			found[c.Name+"."+f.Name] = f.Category
		}
	}
	return found, nil
}
