package command

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

func (a *app) auditShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show INDEX|FROM..TO",
		Short: "Show entries of the audit log in full, by their index",
		Long: `Show an entry of the audit log in full, by its index, or those from one index to
another, both included.`,
		Example: `  cloakroom audit show 1234
  cloakroom audit show 1234..1240 -o json`,
		Args: arguments("INDEX|FROM..TO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := auditShower{app: a}
			if !s.parse(args[0]) {
				return wrongUse(cmd, "the argument is the index of an entry, from 0 on, or two of them as FROM..TO")
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				s.client = client
				return s.run(cmd.Context())
			})
		},
	}
}

// errSilent: nothing came for as long as --timeout says.
var errSilent = errors.New("no entry came for as long as --timeout says")

// auditShower shows the entries from one index to another.
type auditShower struct {
	*app
	client   *cloakroom.Client
	from, to uint64 // both included
	shown    int
}

// parse reads the argument, and says whether it is one.
func (s *auditShower) parse(text string) bool {
	first, last, isRange := strings.Cut(text, "..")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 62)
	if err != nil {
		return false
	}
	to, err := strconv.ParseUint(last, 10, 62)
	s.from, s.to = from, to
	return err == nil && from <= to
}

func (s *auditShower) run(ctx context.Context) error {
	// How far the log goes: a watch would wait for an entry that is not there yet.
	page, err := s.client.AuditPage(ctx, cloakroom.AuditFilter{}, "", cloakroom.NewestFirst(), cloakroom.PageSize(1))
	switch {
	case err != nil:
		return err
	case s.from >= page.LogSize:
		return fmt.Errorf("there is no such entry: the log has %d, and the last one is %d", page.LogSize, int64(page.LogSize)-1)
	case s.from < page.FirstIndex:
		return fmt.Errorf("the log's retention has removed the entry: the first one that is kept is %d", page.FirstIndex)
	case s.to >= page.LogSize:
		fmt.Fprintf(s.Stderr, "the last entry of the log is %d\n", page.LogSize-1)
		s.to = page.LogSize - 1
	}
	sheet := newSheet(s.Stdout, s.output)
	if s.output == "json" {
		if err := sheet.begin(nil, struct{}{}, "entries"); err != nil {
			return err
		}
	}
	if err := s.read(ctx, sheet); err != nil {
		return err
	}
	return sheet.end(struct{}{})
}

// read shows the entries as they come. A vault that is silent for --timeout is
// waited for no longer.
func (s *auditShower) read(ctx context.Context, sheet *sheet) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(s.timeout, func() { cancel(errSilent) })
	defer silent.Stop()
	next := s.from
	for e, err := range s.client.WatchAudit(ctx, cloakroom.AuditFilter{}, cloakroom.FromIndex(s.from)) {
		switch {
		case err != nil && errors.Is(context.Cause(ctx), errSilent):
			return errSilent
		case err != nil:
			return err
		case e.Index != next:
			return fmt.Errorf("the log's retention has removed entry %d meanwhile", next)
		}
		silent.Reset(s.timeout)
		if err := s.show(sheet, e); err != nil || next == s.to {
			return err
		}
		next++
	}
	return nil
}

func (s *auditShower) show(sheet *sheet, e cloakroom.AuditEntry) error {
	if s.output == "json" {
		return sheet.row(nil, func() any { return jsonAuditEntry(e) })
	}
	if s.shown++; s.shown > 1 {
		sheet.table.gap()
	}
	tableAuditEntry(sheet.table, e)
	return sheet.table.w.Flush()
}

// tableAuditEntry shows an entry in full.
func tableAuditEntry(t *tableWriter, e cloakroom.AuditEntry) {
	t.row("INDEX", strconv.FormatUint(e.Index, 10))
	t.row("ID", e.ID)
	t.row("TIME", exactTime(e.Time))
	t.row("REQUEST", e.RequestID)
	t.row("PRINCIPAL", e.Principal)
	t.row("ACTION", e.Action)
	t.row("OBJECT", e.Object)
	t.row("OUTCOME", string(e.Outcome))
	t.row("REFUSAL", e.Refusal)
	t.row("COLLECTION", e.Collection)
	t.row("PURPOSE", e.Purpose)
	t.row("VIEW", e.View)
	t.row("REASON", e.Reason)
	t.row("POLICY", strconv.FormatUint(e.PolicyVersion, 10))
	t.row("COUNT", strconv.FormatUint(uint64(e.Count), 10))
	if len(e.Items) == 0 {
		return
	}
	t.gap()
	t.row("PERSON", "FIELD", "ITEM", "OUTCOME", "REFUSAL", "KEY VERSION", "HASH")
	for _, it := range e.Items {
		version := ""
		if it.KeyVersion > 0 {
			version = strconv.FormatUint(uint64(it.KeyVersion), 10)
		}
		t.row(it.Subject, it.Field, strconv.FormatUint(uint64(it.Item), 10), string(it.Outcome), it.Refusal, version, hex.EncodeToString(it.Hash))
	}
}
