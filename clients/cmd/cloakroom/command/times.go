package command

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const timeHelp = `Times are RFC 3339 (2026-11-22T09:30:00Z), a day (2026-11-22, from its begin in
UTC on), or how long ago: 24h, -24h, 90m, 7d.`

// errTime says what a time can be.
var errTime = errors.New("a time is RFC 3339 (2026-11-22T09:30:00Z), a day (2026-11-22, in UTC), or how long ago (90m, 24h, 7d)")

// maxAgo bounds how long ago a time can be: 200 years.
const maxAgo = 200 * 365 * 24 * time.Hour

// parseTime reads the time of a flag.
func parseTime(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	ago := strings.TrimPrefix(text, "-")
	if days, is := strings.CutSuffix(ago, "d"); is {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > uint64(maxAgo/(24*time.Hour)) {
			return time.Time{}, errTime
		}
		return now.Add(-time.Duration(n) * 24 * time.Hour).UTC(), nil
	}
	d, err := time.ParseDuration(ago)
	if err != nil || d < 0 || d > maxAgo {
		return time.Time{}, errTime
	}
	return now.Add(-d).UTC(), nil
}

// window is a pair of flags, from one time to before another.
type window struct{ since, until string }

func (w *window) add(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&w.since, "since", "", what+" at or after this `time`")
	cmd.Flags().StringVar(&w.until, "until", "", what+" before this `time`")
}

// read returns the times, zero for those not given.
func (w *window) read(cmd *cobra.Command, now time.Time) (since, until time.Time, err error) {
	for _, flag := range []struct {
		name, text string
		to         *time.Time
	}{{"--since", w.since, &since}, {"--until", w.until, &until}} {
		if flag.text == "" {
			continue
		}
		if *flag.to, err = parseTime(flag.text, now); err != nil {
			return since, until, wrongUse(cmd, "%s: %v", flag.name, err)
		}
	}
	if !since.IsZero() && !until.IsZero() && !since.Before(until) {
		return since, until, wrongUse(cmd, "--until is not after --since")
	}
	return since, until, nil
}

// reasonFlag is the code or ticket that stands in the audit log.
type reasonFlag struct {
	text     string
	required bool
}

func (r *reasonFlag) add(cmd *cobra.Command) {
	text := "a code or ticket for the audit log; no personal data"
	if r.required {
		text += "; required"
	}
	cmd.Flags().StringVar(&r.text, "reason", "", text)
}

// check says what the vault would say, before anything is sent.
func (r *reasonFlag) check(cmd *cobra.Command) error {
	switch {
	case r.text == "" && r.required:
		return wrongUse(cmd, "--reason is required: it says why, in the audit log")
	case r.text != "" && !regexp.MustCompile(`^[A-Za-z0-9\-_.:/#]{1,128}$`).MatchString(r.text):
		return wrongUse(cmd, "--reason is a code or ticket: at most 128 letters, digits and -_.:/#")
	}
	return nil
}

// exactTime is a time in full, for what goes to other programs.
func exactTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
