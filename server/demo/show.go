package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

const collection = "customers"

// show tells the story, step by step.
func (d *demo) show(ctx context.Context) error {
	fmt.Fprintf(d.Out, "A vault with development certificates, a file KEK and two bbolt files, served on %s\n", d.address)
	people, err := customers()
	if err != nil {
		return err
	}
	if err := d.applyPolicy(ctx); err != nil {
		return err
	}
	if err := d.importAll(ctx, people); err != nil {
		return err
	}
	record, err := d.showRecord(ctx, people[0].record.SubjectID)
	if err != nil {
		return err
	}
	card := record.Token("card_pan")
	if err := d.showReveals(ctx, card); err != nil {
		return err
	}
	if err := d.showRefusals(ctx, card, record.Token("email")); err != nil {
		return err
	}
	if err := d.showIncident(ctx, people[0].record.SubjectID, card); err != nil {
		return err
	}
	return d.searchDisk(people)
}

func (d *demo) applyPolicy(ctx context.Context) error {
	d.heading("The administrator applies the policy file, and cannot reveal anything by that right")
	admin, err := d.as("admin")
	if err != nil {
		return err
	}
	applied, err := admin.ApplyPolicy(ctx, policyYAML)
	if err != nil {
		return fmt.Errorf("apply the policy: %w", err)
	}
	d.line("policy version %d is in force", applied.Version)
	return nil
}

func (d *demo) importAll(ctx context.Context, people []customer) error {
	d.heading("The shop imports its customers through the gRPC client")
	shop, err := d.as("shop")
	if err != nil {
		return err
	}
	records := func(yield func(cloakroom.RecordInput) bool) {
		for _, p := range people {
			if !yield(p.record) {
				return
			}
		}
	}
	begun := time.Now()
	result, err := shop.Import(ctx, collection, records)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	values := 0
	for _, p := range people {
		values += len(p.record.Fields)
	}
	d.line("%d records with %d values stored, %d refused, in %s",
		result.Created, values, result.Failed, time.Since(begun).Round(time.Millisecond))
	if result.Failed > 0 || result.Created != int64(len(people)) {
		return fmt.Errorf("import: %d of %d records were stored", result.Created, len(people))
	}
	return nil
}

func (d *demo) showRecord(ctx context.Context, subject string) (cloakroom.Record, error) {
	d.heading("A row as the shop stores it: tokens only")
	shop, err := d.as("shop")
	if err != nil {
		return cloakroom.Record{}, err
	}
	record, err := shop.Get(ctx, collection, subject)
	if err != nil {
		return record, fmt.Errorf("get a record: %w", err)
	}
	d.line("%-24s %s", "customer_id", record.SubjectID)
	for _, f := range record.Fields {
		d.line("%-24s %s", f.Field, strings.Join(f.Tokens, " "))
	}
	return record, nil
}

func (d *demo) showReveals(ctx context.Context, card string) error {
	d.heading("Billing reveals the card number, to take a payment")
	billing, err := d.as("billing")
	if err != nil {
		return err
	}
	got, err := billing.DetokenizeOne(ctx, card, "payment", cloakroom.Reason("order-4711"))
	if err != nil {
		return fmt.Errorf("billing reveals the card: %w", err)
	}
	d.line("%s  ->  %s  (view %s)", card, got.Value.ExposeText(), got.View)

	d.heading("Support gets only the masked form of the same token")
	support, err := d.as("support")
	if err != nil {
		return err
	}
	got, err = support.DetokenizeOne(ctx, card, "support")
	if err != nil {
		return fmt.Errorf("support reveals the card: %w", err)
	}
	d.line("%s  ->  %s  (view %s)", card, got.Value.ExposeText(), got.View)
	if got.View != cloakroom.ViewMasked {
		return errors.New("support got more than the masked form")
	}
	return d.refused(ctx, "support", "asks for the plain one", card, "support", "VIEW_DENIED", cloakroom.AsView(cloakroom.ViewPlain))
}

func (d *demo) showRefusals(ctx context.Context, card, email string) error {
	d.heading("Everybody else is refused, with the reason")
	forged, err := forge(card)
	if err != nil {
		return err
	}
	for _, c := range []struct{ who, what, token, purpose, reason string }{
		{"analytics", "asks for the card", card, "payment", "ACTION_DENIED"},
		{"stranger", "asks for the card", card, "payment", "PRINCIPAL_UNKNOWN"},
		{"billing", "asks for the e-mail address", email, "payment", "FIELD_DENIED"},
		{"mailer", "asks without the person's consent", email, "newsletter", "CONSENT_REQUIRED"},
		{"billing", "sends a mistyped token", mistype(card), "payment", "MALFORMED_TOKEN"},
		{"billing", "sends a forged token", forged, "payment", "TOKEN_NOT_FOUND"},
	} {
		if err := d.refused(ctx, c.who, c.what, c.token, c.purpose, c.reason); err != nil {
			return err
		}
	}
	return nil
}

// refused makes a call that must be refused for one reason, and shows it.
func (d *demo) refused(ctx context.Context, who, what, token, purpose, reason string, options ...cloakroom.RevealOption) error {
	c, err := d.as(who)
	if err != nil {
		return err
	}
	_, err = c.DetokenizeOne(ctx, token, purpose, options...)
	var e *cloakroom.Error
	if !errors.As(err, &e) || e.Reason != reason {
		return fmt.Errorf("%s %s: want the refusal %s, got %w", who, what, reason, err)
	}
	d.line("%-10s %-34s %s %s", who, what, codeName(e), e.Reason)
	return nil
}

// searchDisk seeks every value that went in, and every customer id, in every
// file of the vault.
func (d *demo) searchDisk(people []customer) error {
	d.heading("Every value that went in is sought in every file on the disk")
	n := newNeedles(d.begun)
	for _, p := range people {
		for _, cell := range p.cells {
			n.add(cell)
		}
		for _, values := range p.record.Fields {
			for _, v := range values {
				n.add(v.ExposeText())
			}
		}
	}
	files, err := n.search(d.dir)
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b searched) int { return strings.Compare(a.path, b.path) })
	total := 0
	for _, f := range files {
		d.line("%-40s %10d bytes  %d found", f.path, f.size, f.found)
		total += f.found
	}
	d.line("%d different values, %d files: %d found", len(n.texts), len(files), total)
	if total > 0 {
		return fmt.Errorf("%d values stand in clear on the disk", total)
	}
	return nil
}

func (d *demo) sayHowToGoOn() {
	d.heading("The vault keeps running until you press Ctrl-C. In another terminal, from this folder:")
	certs := d.dir + "/certs"
	env := fmt.Sprintf("CLOAKROOM_ADDRESS=%s CLOAKROOM_CA=%s/ca.crt", d.address, certs)
	for _, c := range []struct{ who, command string }{
		{"shop", "get customers C0000002"},
		{"billing", "record customers C0000002 --purpose payment"},
		{"support", "record customers C0000002 --purpose support"},
		{"analytics", "record customers C0000002 --purpose payment"},
		{"security", "audit list --subject C0000002"},
		{"admin", "policy get"},
		{"shop", "whoami"},
	} {
		d.line("%s CLOAKROOM_CERT=%s/%s.crt CLOAKROOM_KEY=%s/%s.key \\", env, certs, c.who, certs, c.who)
		d.line("  go run ./clients/cmd/cloakroom %s", c.command)
	}
}
