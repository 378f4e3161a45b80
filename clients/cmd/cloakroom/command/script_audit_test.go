package command_test

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
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
	if name == "lie" && strings.HasPrefix(args[0], "sign") {
		return s.signLog(args[0], args[1:])
	}
	if last := args[len(args)-1]; name != "erase" && (len(args) > 1 || name == "wide" || name == "breaking") {
		var err error
		if number, err = strconv.Atoi(last); err != nil {
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
	case "wide":
		e := fakeserver.SampleEntries(1)[0]
		items := make([]*cloakroomv1.AuditItem, number)
		for i := range items {
			items[i] = cloakroomv1.AuditItem_builder{
				Subject: fakeserver.Handle("C1"), Field: "customers.f" + strconv.Itoa(i), Outcome: cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED,
			}.Build()
		}
		e.SetItems(items)
		e.SetCount(uint32(number))
		s.server.Audit.Append(e)
	case "breaking":
		s.server.Audit.BreakWatch(12)
		s.server.Fail("WatchEntries", nil) // the watch itself
		for range number {
			s.server.Fail("WatchEntries", fakeserver.Unavailable())
		}
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

// signLog changes who signs the log: "sign SEED..." or "sign-forged SEED...", the
// key that signs for good first; "sign-says SEED..." changes only what the vault
// says of it.
func (s *script) signLog(kind string, seeds []string) string {
	numbers, vkeys := make([]byte, len(seeds)), make([]string, len(seeds))
	for i, seed := range seeds {
		n, err := strconv.ParseUint(seed, 10, 8)
		if err != nil {
			return err.Error()
		}
		numbers[i], vkeys[i] = byte(n), fakeserver.VerifierKey(s.t, fakeserver.Origin, byte(n))
	}
	switch kind {
	case "sign":
		s.server.Audit.SignAs(s.t, fakeserver.Origin, numbers...)
	case "sign-forged":
		s.server.Audit.SignAs(s.t, fakeserver.Origin, numbers...)
		s.server.Audit.ForgeSignatures()
	case "sign-says":
		s.server.Audit.NameKeys(vkeys...)
	default:
		return "unknown lie"
	}
	return ""
}
