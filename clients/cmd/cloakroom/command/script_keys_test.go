package command_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/command"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// work makes a re-wrap the only work on keys of the stand-in.
func (s *script) work(args []string) string {
	state, known := cloakroomv1.KeyWorkState_value["KEY_WORK_STATE_"+strings.ToUpper(args[0])]
	done, err := strconv.ParseUint(args[1], 10, 64)
	total, err2 := strconv.ParseUint(args[2], 10, 64)
	if !known || err != nil || err2 != nil {
		return "work takes a state and two numbers"
	}
	s.server.SetWork(cloakroomv1.KeyWork_builder{
		Kind: cloakroomv1.KeyWorkKind_KEY_WORK_KIND_REWRAP, State: cloakroomv1.KeyWorkState(state), Step: "re-wrapping",
		Total: total, Done: done, Left: total - done, Problem: strings.Join(args[3:], " "),
	}.Build())
	return ""
}

// A terminal gets a bar for work that runs, with the rate and the time left of
// the vault, and lines for the rest.
func TestKeyWorkOnATerminal(t *testing.T) {
	s := newScript(t, "")
	s.server.SetWork(
		cloakroomv1.KeyWork_builder{
			Kind: cloakroomv1.KeyWorkKind_KEY_WORK_KIND_EPOCH, State: cloakroomv1.KeyWorkState_KEY_WORK_STATE_DONE, Epoch: 1, Total: 3, Done: 3,
		}.Build(),
		cloakroomv1.KeyWork_builder{
			Kind: cloakroomv1.KeyWorkKind_KEY_WORK_KIND_REWRAP, State: cloakroomv1.KeyWorkState_KEY_WORK_STATE_RUNNING, Step: "re-wrapping",
			Total: 1000, Done: 250, Left: 750, Rate: 2.5, Remaining: durationpb.New(5 * time.Minute),
		}.Build())
	var stdout, stderr bytes.Buffer
	code := command.Run(t.Context(), strings.Fields("keys work --watch"), command.Environment{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Terminal: true,
		Getenv: func(name string) string { return s.env[name] },
		Now:    func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) },
	})
	for _, want := range []string{"rewrap  re-wrapping  2.5/s  5m0s left", "(250/1000)"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in %q", want, stderr.String())
		}
	}
	want := "2026-11-22T12:00:00Z  epoch 1  done  3 of 3 (100 %)\n2026-11-22T12:00:00Z  rewrap  done  1000 of 1000 (100 %)  100/s\n"
	if code != 0 || stdout.String() != want {
		t.Errorf("exit code %d, stdout %q", code, stdout.String())
	}
}
