package command

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// keyWorksJSON is the result of keys work, and each line of keys work --watch.
type keyWorksJSON struct {
	Work []keyWorkJSON `json:"work"`
}

type keyWorkJSON struct {
	Kind  string  `json:"kind"`
	Epoch uint32  `json:"epoch,omitempty"`
	State string  `json:"state"`
	Step  string  `json:"step,omitempty"`
	Total uint64  `json:"total"`
	Done  uint64  `json:"done"`
	Left  uint64  `json:"left"`
	Rate  float64 `json:"rate"`
	// Remaining is in seconds; absent: not known.
	Remaining float64 `json:"remaining_seconds,omitempty"`
	StartTime string  `json:"start_time,omitempty"`
	EndTime   string  `json:"end_time,omitempty"`
	Problem   string  `json:"problem,omitempty"`
}

func jsonKeyWork(work []cloakroom.KeyWork) keyWorksJSON {
	out := keyWorksJSON{Work: make([]keyWorkJSON, len(work))}
	for i, w := range work {
		out.Work[i] = keyWorkJSON{
			string(w.Kind), w.Epoch, string(w.State), w.Step, w.Total, w.Done, w.Left, w.Rate, w.Remaining.Seconds(),
			exactTime(w.StartTime), exactTime(w.EndTime), w.Problem,
		}
	}
	return out
}

func (a *app) keysWorkCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "work",
		Short: "Show the work on keys and how far it is",
		Long: `Show the work on keys: values that are re-wrapped, epochs that end, callers' ids that
are hashed anew, files that are compacted. Work that ended stays listed until the next
of its kind.

With --watch it is shown until nothing is running or waiting: on a terminal as a bar,
else as lines, with -o json as one object a line for every change. Interrupting it ends
the watch, not the work. The exit code is 4 when something was left undone or is paused.`,
		Example: `  cloakroom keys work
  cloakroom keys work --watch -o json | your-collector`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				if watch {
					return a.watchWork(cmd, client)
				}
				for work, err := range client.WatchKeyWork(cmd.Context()) {
					if err != nil {
						return err
					}
					return a.print(jsonKeyWork(work), func(t *tableWriter) { tableKeyWork(t, work) })
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it until nothing is running or waiting")
	return cmd
}

func tableKeyWork(t *tableWriter, work []cloakroom.KeyWork) {
	t.row("WORK", "STATE", "STEP", "DONE", "TOTAL", "LEFT", "RATE", "REMAINING", "BEGUN", "ENDED", "PROBLEM")
	for _, w := range work {
		t.row(workName(w), string(w.State), w.Step, strconv.FormatUint(w.Done, 10), strconv.FormatUint(w.Total, 10), strconv.FormatUint(w.Left, 10),
			rateText(w), remainingText(w), stamp(w.StartTime), stamp(w.EndTime), w.Problem)
	}
}

// watchWork shows work until nothing is running or waiting.
func (a *app) watchWork(cmd *cobra.Command, client *cloakroom.Client) error {
	show := &workShow{app: a, last: map[cloakroom.KeyWorkKind]shownWork{}}
	defer show.end()
	var last []cloakroom.KeyWork
	for work, err := range client.WatchKeyWork(cmd.Context(), append(a.tellOfWorkBreaks(show), cloakroom.UntilIdle())...) {
		if err != nil {
			if cmd.Context().Err() != nil {
				return nil // interrupting it is a way to end it
			}
			return err
		}
		if err := show.work(work); err != nil {
			return err
		}
		last = work
	}
	show.end()
	return unfinished(last)
}

// tellOfWorkBreaks says once that a watch broke, and once that it works again.
func (a *app) tellOfWorkBreaks(show *workShow) []cloakroom.WatchKeysOption {
	broken := false
	return []cloakroom.WatchKeysOption{
		cloakroom.OnReconnect(func(err error) {
			if !broken {
				show.end()
				fmt.Fprintf(a.Stderr, "cloakroom: the watch broke, and is tried again until it works: %s\n", printable(err.Error()))
			}
			broken = true
		}),
		cloakroom.OnRecovery(func() {
			broken = false
			fmt.Fprintln(a.Stderr, "cloakroom: the watch works again")
		}),
	}
}

// unfinished says what the end of a watch leaves undone. Values under versions
// that somebody disabled are not among it: the last line names them.
func unfinished(work []cloakroom.KeyWork) error {
	var texts []string
	for _, w := range work {
		switch {
		case w.State == cloakroom.WorkPaused:
			texts = append(texts, workName(w)+" is paused; 'cloakroom keys resume' lets it go on")
		case w.State == cloakroom.WorkDone && w.Left > 0:
			texts = append(texts, fmt.Sprintf("%s left %d undone", workName(w), w.Left))
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return &partialError{strings.Join(texts, "; ")}
}

// keysStateCommand makes a command that changes how the re-wrap stands.
func (a *app) keysStateCommand(use, state, short string, do func(*cloakroom.Client, context.Context, string) error) *cobra.Command {
	var reason reasonFlag
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  short + ". 'cloakroom keys work' shows it.",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := reason.check(cmd); err != nil {
				return err
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				if err := do(client, cmd.Context(), reason.text); err != nil {
					return err
				}
				return a.print(struct {
					Rewrap string `json:"rewrap"`
				}{state}, func(t *tableWriter) {
					t.row("RE-WRAP")
					t.row(state)
				})
			})
		},
	}
	reason.add(cmd)
	return cmd
}
