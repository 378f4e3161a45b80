package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The programs under test, built once a run.
var daemonPath, clientPath string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cloakroomd-test-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	daemonPath, clientPath = filepath.Join(dir, "cloakroomd"), filepath.Join(dir, "cloakroom")
	build := exec.Command("go", "build", "-o", dir, ".", "../../../clients/cmd/cloakroom")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s", out)
		panic(err)
	}
	m.Run()
}

// result is what a program left behind.
type result struct {
	code        int
	out, errors string
}

// run runs a program to its end.
func run(t *testing.T, env []string, path string, args ...string) result {
	t.Helper()
	return runContext(t, t.Context(), env, path, args...)
}

func runContext(t *testing.T, ctx context.Context, env []string, path string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(cleanEnv(), env...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %s: %v", filepath.Base(path), strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// cleanEnv is the environment without what would set the programs.
func cleanEnv() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CLOAKROOM_") && !strings.HasPrefix(v, "GOGC") {
			out = append(out, v)
		}
	}
	return out
}

// want checks an exit code and that every text is in what was said to standard
// error.
func (r result) want(t *testing.T, code int, texts ...string) result {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.out, r.errors)
	}
	for _, text := range texts {
		if !strings.Contains(r.errors, text) {
			t.Errorf("standard error does not say %q:\n%s", text, r.errors)
		}
	}
	return r
}

// output collects what a running program says.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}
