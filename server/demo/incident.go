package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
)

const billingID = trustDomain + "billing"

// showIncident acts as the security team does when a caller is not to be
// trusted any more.
func (d *demo) showIncident(ctx context.Context, subject, card string) error {
	d.heading("The security team suspects billing: it freezes it, and asks whom it concerns")
	security, err := d.as("security")
	if err != nil {
		return err
	}
	freeze, err := security.Freeze(ctx, cloakroom.FreezePrincipal, billingID, "INC-2026-7")
	if err != nil {
		return fmt.Errorf("freeze billing: %w", err)
	}
	if err := d.refused(ctx, "billing", "asks for the card again", card, "payment", "FROZEN"); err != nil {
		return err
	}
	if err := d.showExposure(ctx, security, subject); err != nil {
		return err
	}
	if err := security.Thaw(ctx, freeze.ID, "INC-2026-7"); err != nil {
		return fmt.Errorf("thaw billing: %w", err)
	}
	billing, err := d.as("billing")
	if err != nil {
		return err
	}
	if _, err := billing.DetokenizeOne(ctx, card, "payment"); err != nil {
		return fmt.Errorf("billing reveals after the thaw: %w", err)
	}
	d.line("thawed: billing reveals again")
	return d.showLog(ctx, security, subject)
}

func (d *demo) showExposure(ctx context.Context, security *cloakroom.Client, subject string) error {
	exposure, err := security.Exposure(ctx, cloakroom.ExposureQuery{Principals: []string{billingID}, Reason: "INC-2026-7"})
	if err != nil {
		return fmt.Errorf("ask for the exposure: %w", err)
	}
	defer exposure.Close()
	named := false
	for row, err := range exposure.Rows() {
		if err != nil {
			return fmt.Errorf("ask for the exposure: %w", err)
		}
		d.line("billing saw %s of %s, %d time(s), %s", row.Field, row.SubjectID, row.Reveals, strings.Join(row.Views, " and "))
		named = named || row.SubjectID == subject
	}
	if !named {
		return errors.New("the exposure does not name the person whose card was revealed")
	}
	return nil
}

// showLog shows who looked at a person, and that the log proves itself.
func (d *demo) showLog(ctx context.Context, security *cloakroom.Client, subject string) error {
	d.heading("Who looked at %s, from the log that anybody can verify", subject)
	looks, last := 0, uint64(0)
	filter := cloakroom.AuditFilter{SubjectIDs: []string{subject}, Actions: []string{"reveal"}}
	for e, err := range security.AuditEntries(ctx, filter) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		d.line("%6d  %-38s %-9s %-8s %s", e.Index, e.Principal, e.Purpose, e.View, e.Outcome)
		looks, last = looks+1, e.Index
	}
	if looks == 0 {
		return errors.New("the log does not say who looked")
	}
	checkpoint, err := covering(ctx, security, last)
	if err != nil {
		return fmt.Errorf("get the checkpoint: %w", err)
	}
	key, err := auditproof.NewVerifier(checkpoint.VerifierKey) // who verifies for real has kept it
	if err != nil {
		return fmt.Errorf("read the key of the log: %w", err)
	}
	report, err := auditproof.VerifyLog(ctx, security, key, auditproof.Options{})
	if err != nil {
		return fmt.Errorf("verify the log: %w", err)
	}
	d.line("%d entries verified against the signed root, without trust in the server", report.Entries)
	return nil
}

// covering returns the first checkpoint that covers an entry, which comes
// within about a second.
func covering(ctx context.Context, security *cloakroom.Client, index uint64) (cloakroom.AuditCheckpoint, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := security.AuditCheckpoint(ctx)
		if err == nil && c.Size > index || err != nil && !errors.Is(err, cloakroom.ErrEntryNotFound) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-tick.C:
		}
	}
}
