package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// workEvery is how often a line says only that work went on.
const workEvery = 10 * time.Second

// workShow shows work as it changes: on a terminal a bar for what is running and
// a line for what stands or ended, elsewhere lines, or JSON.
type workShow struct {
	*app
	last  map[cloakroom.KeyWorkKind]shownWork
	bar   *progressbar.ProgressBar // nil: none is drawn
	barOf string                   // the work that it shows
	total uint64                   // of that work
}

// shownWork is what the last line about work said, and when.
type shownWork struct {
	state         cloakroom.KeyWorkState
	step, problem string
	at            time.Time
}

// work shows all work as it stands.
func (s *workShow) work(all []cloakroom.KeyWork) error {
	if s.output == "json" {
		text, err := compactJSON(jsonKeyWork(all))
		if err == nil {
			_, err = fmt.Fprintln(s.Stdout, text)
		}
		return err
	}
	drawn := false
	for _, w := range all {
		if s.Terminal && w.State == cloakroom.WorkRunning && w.Done < w.Total {
			if !drawn { // there is room for one bar
				s.draw(w)
			}
			drawn = true
			continue
		}
		if err := s.line(w); err != nil {
			return err
		}
	}
	if !drawn {
		s.end()
	}
	return nil
}

// line writes a line when there is something to say.
func (s *workShow) line(w cloakroom.KeyWork) error {
	now := s.Now()
	said, known := s.last[w.Kind]
	next := shownWork{w.State, w.Step, w.Problem, now}
	if known && said.state == next.state && said.step == next.step && said.problem == next.problem && now.Sub(said.at) < workEvery {
		return nil
	}
	s.last[w.Kind] = next
	s.end() // a line must not stand in the bar
	parts := []string{stamp(now), workName(w), string(w.State)}
	for _, part := range []string{w.Step, doneText(w), rateText(w), remainingText(w), w.Problem} {
		if part != "" {
			parts = append(parts, printable(part))
		}
	}
	_, err := fmt.Fprintln(s.Stdout, strings.Join(parts, "  "))
	return err
}

// draw shows work that is not all done as a bar: a full one is over. The rate and the time left are the vault's, which
// has seen the work from its begin.
func (s *workShow) draw(w cloakroom.KeyWork) {
	if s.bar == nil || s.barOf != workName(w) || s.total != w.Total {
		s.end()
		s.bar = progressbar.NewOptions64(int64(w.Total),
			progressbar.OptionSetWriter(s.Stderr),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false),
			// No throttle: the vault speaks at most some times a second. Drawn when it
			// is told to only: otherwise a goroutine stays behind.
			progressbar.OptionSetSpinnerChangeInterval(0),
			progressbar.OptionClearOnFinish(),
		)
		s.barOf, s.total = workName(w), w.Total
	}
	text := workName(w)
	for _, part := range []string{w.Step, rateText(w), remainingText(w)} {
		if part != "" {
			text += "  " + printable(part)
		}
	}
	_ = s.bar.Set64(int64(w.Done)) // a bar that cannot be drawn is no reason to fail
	s.bar.Describe(text)
}

// end clears the bar.
func (s *workShow) end() {
	if s.bar != nil {
		_ = s.bar.Clear()
	}
	s.bar = nil
}

// workName names work: "rewrap", "epoch 3".
func workName(w cloakroom.KeyWork) string {
	if w.Epoch == 0 {
		return string(w.Kind)
	}
	return fmt.Sprintf("%s %d", w.Kind, w.Epoch)
}

func doneText(w cloakroom.KeyWork) string {
	if w.Total == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of %d (%.0f %%)", w.Done, w.Total, 100*float64(w.Done)/float64(w.Total))
	if w.State == cloakroom.WorkDone && w.Left > 0 {
		text += fmt.Sprintf(", %d left", w.Left)
	}
	return text
}

func rateText(w cloakroom.KeyWork) string {
	switch {
	case w.Rate <= 0:
		return ""
	case w.Rate < 10:
		return strconv.FormatFloat(w.Rate, 'f', 1, 64) + "/s"
	}
	return strconv.FormatFloat(w.Rate, 'f', 0, 64) + "/s"
}

func remainingText(w cloakroom.KeyWork) string {
	switch {
	case w.Remaining <= 0:
		return ""
	case w.Remaining < time.Second:
		return "less than 1s left"
	}
	return w.Remaining.Round(time.Second).String() + " left"
}
