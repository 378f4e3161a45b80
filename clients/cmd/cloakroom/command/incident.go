package command

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// freezesJSON is the result of incident freezes.
type freezesJSON struct {
	Freezes []freezeJSON `json:"freezes"`
}

// freezeJSON is a freeze in force, and the result of incident freeze.
type freezeJSON struct {
	ID       uint64 `json:"id"`
	Kind     string `json:"kind"`
	Target   string `json:"target"`
	Reason   string `json:"reason"`
	FrozenBy string `json:"frozen_by"`
	Time     string `json:"freeze_time"`
	// UnknownPrincipal says that the policy names no such principal.
	UnknownPrincipal bool `json:"unknown_principal"`
}

func jsonFreeze(f cloakroom.ActiveFreeze) freezeJSON {
	return freezeJSON{f.ID, string(f.Kind), f.Target, f.Reason, f.FrozenBy, exactTime(f.Time), f.UnknownPrincipal}
}

func (a *app) incidentCommand() *cobra.Command {
	return family("incident", "Freeze, find out whom it concerns, lay traps",
		`What to do when something has gone wrong. First stop it ('freeze'), then find out
whose data was revealed ('exposure'), and what to write to whom ('exposure
--pack'). 'honey' lays traps for the next time.`,
		a.freezeCommand(), a.thawCommand(), a.freezesCommand(), a.exposureCommand(),
		family("honey", "Mark made-up persons whose reveal raises an alarm", "",
			a.honeyAddCommand(), a.honeyRemoveCommand(), a.honeyListCommand()))
}

func (a *app) freezeCommand() *cobra.Command {
	reason := reasonFlag{required: true}
	kinds := make([]string, 0, 5)
	for _, k := range cloakroom.FreezeKinds() {
		kinds = append(kinds, string(k))
	}
	cmd := &cobra.Command{
		Use:   "freeze principal|role|field|collection|vault [TARGET] --reason CODE",
		Short: "Freeze a principal, role, field, collection or the whole vault, at once",
		Long: `Freeze a principal, role, field, collection or the whole vault. Every reveal that
begins after the answer obeys, on open streams too, also after a restart, until
it is thawed. Freezing what is frozen already shows the freeze that stands. A
principal that the policy does not name can be frozen too, and is marked: it may be
mistyped.

A frozen principal is refused everything; rights held through a frozen role are
gone. Of a frozen field, collection or vault no value is revealed or confirmed;
writing goes on, so that nothing is lost meanwhile.`,
		Example: `  cloakroom incident freeze principal spiffe://cloakroom.example/support --reason INC-7
  cloakroom incident freeze field customers.card_pan --reason INC-7
  cloakroom incident freeze vault --reason INC-7`,
		ValidArgs: kinds,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return wrongUse(cmd, "freeze takes the kind of what to freeze: principal, role, field, collection or vault")
			}
			kind, err := cloakroom.ParseFreezeKind(args[0])
			switch {
			case err != nil:
				return wrongUse(cmd, "%v", err)
			case kind == cloakroom.FreezeVault && len(args) > 1:
				return wrongUse(cmd, "freeze vault takes no TARGET")
			case kind != cloakroom.FreezeVault && (len(args) != 2 || args[1] == ""):
				return wrongUse(cmd, "freeze %s takes one TARGET", kind)
			case kind == cloakroom.FreezeField && checkFields(cmd, args[1:]) != nil:
				return wrongUse(cmd, "TARGET is collection.field, such as customers.email")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := reason.check(cmd); err != nil {
				return err
			}
			target := ""
			if len(args) > 1 {
				target = args[1]
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				f, err := client.Freeze(cmd.Context(), cloakroom.FreezeKind(args[0]), target, reason.text)
				if err != nil {
					return err
				}
				if f.Reason != reason.text {
					fmt.Fprintln(a.Stderr, "it was frozen already; this is the freeze that stands")
				}
				if f.UnknownPrincipal {
					fmt.Fprintf(a.Stderr, "WARNING: the policy names no such principal; if it is mistyped, nobody is stopped. 'cloakroom incident thaw %d' ends this freeze\n", f.ID)
				}
				return a.print(jsonFreeze(f), func(t *tableWriter) { tableFreezes(t, []cloakroom.ActiveFreeze{f}) })
			})
		},
	}
	reason.add(cmd)
	return cmd
}

func (a *app) thawCommand() *cobra.Command {
	reason := reasonFlag{required: true}
	cmd := &cobra.Command{
		Use:     "thaw ID --reason CODE",
		Short:   "End a freeze",
		Long:    "End a freeze. ID is its number, as 'cloakroom incident freezes' shows it.",
		Example: "  cloakroom incident thaw 3 --reason INC-7",
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil || id == 0 {
				return wrongUse(cmd, "ID is the number of a freeze, as 'cloakroom incident freezes' shows it")
			}
			if err := reason.check(cmd); err != nil {
				return err
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				if err := client.Thaw(cmd.Context(), id, reason.text); err != nil {
					return err
				}
				return a.print(struct {
					ID uint64 `json:"id"`
				}{id}, func(t *tableWriter) {
					t.row("THAWED")
					t.row(args[0])
				})
			})
		},
	}
	reason.add(cmd)
	return cmd
}

func (a *app) freezesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "freezes",
		Short: "List the freezes in force",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				freezes, err := client.Freezes(cmd.Context())
				if err != nil {
					return err
				}
				out := freezesJSON{Freezes: make([]freezeJSON, len(freezes))}
				for i, f := range freezes {
					out.Freezes[i] = jsonFreeze(f)
				}
				return a.print(out, func(t *tableWriter) { tableFreezes(t, freezes) })
			})
		},
	}
}

func tableFreezes(t *tableWriter, freezes []cloakroom.ActiveFreeze) {
	t.row("ID", "KIND", "TARGET", "REASON", "FROZEN BY", "SINCE", "NOTE")
	for _, f := range freezes {
		note := ""
		if f.UnknownPrincipal {
			note = "not in the policy"
		}
		t.row(strconv.FormatUint(f.ID, 10), string(f.Kind), f.Target, f.Reason, f.FrozenBy, stamp(f.Time), note)
	}
}

// denied says whether the vault refused a call for want of a right.
func denied(err error) bool { return errors.Is(err, cloakroom.ErrPermissionDenied) }
