package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// keysHeadJSON is what stands before the keys in JSON. Sealed says why the vault
// is sealed; empty: it is not.
type keysHeadJSON struct {
	Sealed string `json:"sealed"`
}

type keyJSON struct {
	Key         string      `json:"key"`
	Kind        string      `json:"kind"`
	Name        string      `json:"name,omitempty"`
	Generation  uint64      `json:"generation"`
	Primary     uint32      `json:"primary_version,omitempty"`
	RotateTime  string      `json:"rotate_time,omitempty"`
	DueTime     string      `json:"due_time,omitempty"`
	Provider    string      `json:"provider,omitempty"`
	Destruction string      `json:"destruction,omitempty"`
	Recovery    string      `json:"recovery,omitempty"`
	Versions    []versionOf `json:"versions"`
}

// versionOf is a version of a key in JSON. Values counts only with CountTime.
type versionOf struct {
	Version          uint32 `json:"version"`
	State            string `json:"state"`
	InUse            bool   `json:"in_use"`
	CreateTime       string `json:"create_time,omitempty"`
	Uses             uint64 `json:"uses"`
	Values           uint64 `json:"values"`
	CountTime        string `json:"count_time,omitempty"`
	LastSeenTime     string `json:"last_seen_time,omitempty"`
	CopiesExpireTime string `json:"copies_expire_time,omitempty"`
}

func jsonKey(k cloakroom.Key) keyJSON {
	out := keyJSON{
		Key: k.Name.String(), Kind: string(k.Name.Kind), Name: k.Name.Name, Generation: k.Generation, Primary: k.Primary,
		RotateTime: exactTime(k.RotateTime), DueTime: exactTime(k.DueTime),
		Provider: k.Provider, Destruction: k.Destruction, Recovery: k.Recovery, Versions: make([]versionOf, len(k.Versions)),
	}
	for i, v := range k.Versions {
		out.Versions[i] = versionOf{
			v.Version, string(v.State), inUse(k, v), exactTime(v.CreateTime), v.Uses, v.Values,
			exactTime(v.CountTime), exactTime(v.LastSeenTime), exactTime(v.CopiesExpireTime),
		}
	}
	return out
}

func inUse(k cloakroom.Key, v cloakroom.KeyVersion) bool {
	return v.Version == k.Primary && v.State == cloakroom.KeyEnabled
}

func (a *app) keysListCommand() *cobra.Command {
	format := formatFlag{forms: []string{"table", "json", "csv"}}
	var count bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List every key with its versions",
		Long: `List the root, the KEK and the epoch, then every keyset, with all versions ever
made.

USES is how often a version sealed something, rounded up, for keys that are limited
by it. VALUES is how many stored values need the version, as counted at COUNTED: more
or fewer may need it since. --count counts now, which reads everything that is stored.
LAST ROTATED and NEXT DUE stand at the version in use.`,
		Example: `  cloakroom keys list
  cloakroom keys list --count -o csv > keys.csv`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := format.check(cmd); err != nil {
				return err
			}
			var options []cloakroom.KeysOption
			if count {
				options = append(options, cloakroom.CountValues())
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				list, err := client.Keys(cmd.Context(), options...)
				if err != nil {
					return err
				}
				if list.Sealed != "" {
					fmt.Fprintf(a.Stderr, "WARNING: the vault is sealed: %s\n", printable(list.Sealed))
				}
				return a.printKeys(list, format.chose)
			})
		},
	}
	format.add(cmd)
	cmd.Flags().BoolVar(&count, "count", false, "count what is stored under each version now")
	return cmd
}

func (a *app) printKeys(list cloakroom.KeyList, form string) error {
	s := newSheet(a.Stdout, form)
	columns := []string{"KEY", "VERSION", "STATE", "AGE", "USES", "VALUES", "COUNTED", "LAST ROTATED", "NEXT DUE", "NOTE"}
	if form == "csv" {
		columns = []string{
			"key", "kind", "name", "generation", "provider", "recovery", "rotate_time", "due_time", "version", "state", "in_use",
			"create_time", "uses", "values", "count_time", "last_seen_time", "copies_expire_time",
		}
	}
	if err := s.begin(columns, keysHeadJSON{list.Sealed}, "keys"); err != nil {
		return err
	}
	cells := a.keyCells
	if form == "csv" {
		cells = keyRecord
	}
	for _, k := range list.Keys {
		versions := k.Versions
		if len(versions) == 0 || form == "json" {
			versions = []cloakroom.KeyVersion{{}} // one row for the key
		}
		for _, v := range versions {
			if err := s.row(func() []string { return cells(k, v) }, func() any { return jsonKey(k) }); err != nil {
				return err
			}
		}
	}
	return s.end(struct{}{})
}

// keyCells is a version in a table; the zero version is a key that has none.
func (a *app) keyCells(k cloakroom.Key, v cloakroom.KeyVersion) []string {
	state, values, rotated, due := string(v.State), "", "", ""
	if inUse(k, v) {
		state = "in use"
	}
	if v.Version == k.Primary {
		rotated, due = stamp(k.RotateTime), stamp(k.DueTime)
	}
	if !v.CountTime.IsZero() {
		values = strconv.FormatUint(v.Values, 10)
	}
	return []string{
		k.Name.String(), versionText(v.Version), state, age(a.Now(), v.CreateTime), number(v.Uses), values, stamp(v.CountTime),
		rotated, due, keyNote(a.Now(), k, v),
	}
}

// keyNote is what else there is to say of a version.
func keyNote(now time.Time, k cloakroom.Key, v cloakroom.KeyVersion) string {
	var notes []string
	add := func(when bool, format string, args ...any) {
		if when {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	if v.Version == k.Primary {
		add(!k.DueTime.IsZero() && k.DueTime.Before(now), "overdue")
		add(k.Provider != "" && k.Name.Kind == cloakroom.KeyRoot, "wrapped by %s", k.Provider)
		add(k.Provider != "" && k.Name.Kind != cloakroom.KeyRoot, "kept by %s", k.Provider)
		add(k.Recovery != "", "recovery: %s", k.Recovery)
		add(k.Destruction != "", "destruction: %s", k.Destruction)
	}
	add(!v.LastSeenTime.IsZero(), "last token seen %s", v.LastSeenTime.UTC().Format(time.DateOnly))
	add(!v.CopiesExpireTime.IsZero(), "older copies could be opened until %s", stamp(v.CopiesExpireTime))
	return strings.Join(notes, "; ")
}

// keyRecord is a version in CSV.
func keyRecord(k cloakroom.Key, v cloakroom.KeyVersion) []string {
	values := ""
	if !v.CountTime.IsZero() {
		values = strconv.FormatUint(v.Values, 10)
	}
	return []string{
		k.Name.String(), string(k.Name.Kind), k.Name.Name, strconv.FormatUint(k.Generation, 10), k.Provider, k.Recovery,
		exactTime(k.RotateTime), exactTime(k.DueTime), versionText(v.Version), string(v.State), yesNo(inUse(k, v)),
		exactTime(v.CreateTime), strconv.FormatUint(v.Uses, 10), values,
		exactTime(v.CountTime), exactTime(v.LastSeenTime), exactTime(v.CopiesExpireTime),
	}
}

// number is a count in a table; 0 is none.
func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// age is how long ago something was, in the largest unit that fits.
func age(now, then time.Time) string {
	const day = 24 * time.Hour
	d := max(now.Sub(then), 0)
	switch {
	case then.IsZero():
		return ""
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 2*day:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/day)) + "d"
}
