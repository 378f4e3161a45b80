package command_test

import (
	"bytes"
	"context"
	"strconv"

	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

// interrupter is an output that interrupts after some lines.
type interrupter struct {
	bytes.Buffer
	after  int
	cancel context.CancelFunc
}

// Write implements io.Writer.
func (w *interrupter) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if w.cancel != nil && bytes.Count(w.Bytes(), []byte("\n")) >= w.after {
		w.cancel()
	}
	return n, err
}

// audit changes the audit log of the stand-in.
func (s *script) audit(name string, args []string) string {
	number := 0
	if len(args) > 1 {
		var err error
		if number, err = strconv.Atoi(args[1]); err != nil {
			return err.Error()
		}
	}
	switch name {
	case "log":
		from, err := strconv.Atoi(args[0])
		if err != nil {
			return err.Error()
		}
		s.server.Audit.Append(fakeserver.SampleEntries(number)[from:]...)
	case "erase":
		s.server.Erase(args[0])
	case "lie":
		return s.lie(args[0], number)
	}
	return ""
}

func (s *script) lie(kind string, number int) string {
	log := s.server.Audit
	switch kind {
	case "prune":
		log.Prune(number)
	case "rollback":
		log.Rollback(number)
	case "rewrite":
		log.Rewrite(number)
	case "swap":
		log.Swap(number)
	case "truncate":
		log.Truncate(number)
	case "drop-hash":
		log.DropHash()
	case "alter-root":
		log.AlterRoot()
	case "key":
		log.SignAs(s.t, fakeserver.Origin, byte(number))
	case "other-log":
		log.SignAs(s.t, "cloakroom.vault/other", 1)
	default:
		return "unknown lie"
	}
	return ""
}
