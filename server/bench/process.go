package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
)

// process is the server process.
type process struct {
	hello hello
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *json.Decoder
	dir   string
}

// start starts the server process in a directory of its own.
func start(ctx context.Context, o Options, cache int) (*process, error) {
	dir, err := os.MkdirTemp(o.Dir, "vault-")
	if err != nil {
		return nil, err
	}
	args := append(append([]string(nil), o.Command[1:]...), dir, strconv.Itoa(o.Subjects), strconv.Itoa(cache))
	p := &process{cmd: exec.CommandContext(ctx, o.Command[0], args...), dir: dir} //nolint:gosec // the program starts itself
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(bufio.NewReader(out))
	if err := p.out.Decode(&p.hello); err != nil {
		return nil, errors.Join(fmt.Errorf("the server process did not start: %w", err), p.stop())
	}
	return p, nil
}

// ask gives an order; an empty one asks for the CPU time.
func (p *process) ask(q order) (answer, error) {
	var a answer
	line, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return a, err
	}
	if err := p.out.Decode(&a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// stop ends the process by ending its input, and removes its directory.
func (p *process) stop() error {
	_ = p.in.Close()
	return errors.Join(p.cmd.Wait(), os.RemoveAll(p.dir))
}
