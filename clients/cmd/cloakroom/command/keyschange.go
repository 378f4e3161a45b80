package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// rotatedJSON is the result of keys rotate and keys epoch end.
type rotatedJSON struct {
	Key     string `json:"key"`
	Version uint32 `json:"version"`
	InUse   bool   `json:"in_use"`
}

func (a *app) keysRotateCommand() *cobra.Command {
	var reason reasonFlag
	var addOnly, watch bool
	cmd := &cobra.Command{
		Use:   "rotate KEY",
		Short: "Give a key a fresh version and use it",
		Long: `Give a key a fresh version, which is used from the answer on; older ones still open
what they sealed. After a field, the rows or the lookup were rotated, what is stored
is worked over in the background; --watch shows it until it is done.

Rotating the root seals every keyset anew. Rotating the epoch ends it, as 'keys epoch
end' does. The KEK is rotated where it lives; 'keys rewrap' wraps the root anew.

` + keyForms,
		Example: `  cloakroom keys rotate customers.email --reason SEC-12 --watch
  cloakroom keys rotate domain/default --add-only && cloakroom keys promote domain/default 2`,
		Args: arguments("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := keyArgument(cmd, args[0])
			if err != nil {
				return err
			}
			switch {
			case key.Kind == cloakroom.KeyKEK:
				return wrongUse(cmd, "the KEK is rotated where it lives; 'cloakroom keys rewrap' wraps the root by it anew")
			case addOnly && (key.Kind == cloakroom.KeyRoot || key.Kind == cloakroom.KeyEpoch):
				return wrongUse(cmd, "--add-only does not go with %s", key.Kind)
			case addOnly && watch:
				return wrongUse(cmd, "--watch does not go with --add-only: a version that is not used begins no work")
			}
			if err := reason.check(cmd); err != nil {
				return err
			}
			return a.rotate(cmd, key, reason.text, addOnly, watch)
		},
	}
	reason.add(cmd)
	cmd.Flags().BoolVar(&addOnly, "add-only", false, "make the version only; 'keys promote' puts it to use")
	cmd.Flags().BoolVar(&watch, "watch", false, "show the work that it begins until it is done")
	return cmd
}

func (a *app) keysEpochEndCommand() *cobra.Command {
	var reason reasonFlag
	var watch bool
	cmd := &cobra.Command{
		Use:   "end",
		Short: "End the epoch in use; what was erased cannot be opened from older copies then",
		Long: `End the epoch in use. The keys of all persons go over to the next in the background,
and then the provider destroys the old epoch's key: what was erased before cannot be
opened from older copies and backups any more. 'keys list' says, for each epoch, until
when they could be. --watch shows the work until it is done.`,
		Example: "  cloakroom keys epoch end --reason GDPR-7 --watch",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := reason.check(cmd); err != nil {
				return err
			}
			return a.rotate(cmd, cloakroom.KeyName{Kind: cloakroom.KeyEpoch}, reason.text, false, watch)
		},
	}
	reason.add(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "show the work that it begins until it is done")
	return cmd
}

// rotate rotates a key and, if asked to, shows the work until it is done.
func (a *app) rotate(cmd *cobra.Command, key cloakroom.KeyName, reason string, addOnly, watch bool) error {
	var options []cloakroom.RotateOption
	if addOnly {
		options = append(options, cloakroom.AddOnly())
	}
	return a.withClient(cmd, func(client *cloakroom.Client) error {
		version, err := client.RotateKey(cmd.Context(), key, reason, options...)
		if err != nil {
			return err
		}
		err = a.print(rotatedJSON{key.String(), version, !addOnly}, func(t *tableWriter) {
			t.row("KEY", "VERSION", "IN USE")
			t.row(key.String(), versionText(version), yesNo(!addOnly))
		})
		if err != nil || addOnly {
			return err
		}
		if watch {
			return a.watchWork(cmd, client)
		}
		switch key.Kind {
		case cloakroom.KeyField, cloakroom.KeyRows, cloakroom.KeyLookup, cloakroom.KeyEpoch:
			fmt.Fprintln(a.Stderr, "the rest is done in the background; 'cloakroom keys work --watch' shows it")
		}
		return nil
	})
}

func (a *app) keysPromoteCommand() *cobra.Command {
	return a.keysVersionCommand(&cobra.Command{
		Use:     "promote KEY VERSION",
		Short:   "Make an enabled version the one in use",
		Long:    "Make an enabled version the one in use.\n\n" + keyForms,
		Example: "  cloakroom keys promote domain/default 2",
	}, false, "IN USE", func(ctx context.Context, client *cloakroom.Client, key cloakroom.KeyName, version uint32, reason string) (uint32, error) {
		return 0, client.PromoteKey(ctx, key, version, reason)
	})
}

func (a *app) keysDisableCommand() *cobra.Command {
	return a.keysVersionCommand(&cobra.Command{
		Use:   "disable KEY VERSION --reason CODE",
		Short: "Refuse a version at once",
		Long: `Refuse a version from the answer on, for calls that are under way too. What it sealed
is refused with KEY_DISABLED until it is enabled again, and not re-wrapped meanwhile.
The version in use is replaced by a fresh one in the same step.

` + keyForms,
		Example: "  cloakroom keys disable customers.card_pan 3 --reason INC-7",
	}, true, "DISABLED", func(ctx context.Context, client *cloakroom.Client, key cloakroom.KeyName, version uint32, reason string) (uint32, error) {
		return client.DisableKey(ctx, key, version, reason)
	})
}

func (a *app) keysEnableCommand() *cobra.Command {
	return a.keysVersionCommand(&cobra.Command{
		Use:     "enable KEY VERSION --reason CODE",
		Short:   "Take a disabled version back",
		Long:    "Take a disabled version back. It opens what it sealed again.\n\n" + keyForms,
		Example: "  cloakroom keys enable customers.card_pan 3 --reason INC-7",
	}, true, "ENABLED", func(ctx context.Context, client *cloakroom.Client, key cloakroom.KeyName, version uint32, reason string) (uint32, error) {
		return 0, client.EnableKey(ctx, key, version, reason)
	})
}

// keyCall changes a version of a keyset and returns the fresh one that replaced
// it, if one did.
type keyCall func(ctx context.Context, client *cloakroom.Client, key cloakroom.KeyName, version uint32, reason string) (fresh uint32, err error)

// keysVersionCommand completes a command that changes one version of a keyset;
// column is the heading of the version in the table.
func (a *app) keysVersionCommand(cmd *cobra.Command, reasonRequired bool, column string, do keyCall) *cobra.Command {
	reason := reasonFlag{required: reasonRequired}
	cmd.Args = arguments("KEY", "VERSION")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, version, err := versionArguments(cmd, args)
		if err != nil {
			return err
		}
		if err := reason.check(cmd); err != nil {
			return err
		}
		return a.withClient(cmd, func(client *cloakroom.Client) error {
			fresh, err := do(cmd.Context(), client, key, version, reason.text)
			if err != nil {
				return err
			}
			return a.print(keyVersionJSON{key.String(), version, fresh}, func(t *tableWriter) {
				head, cells := []string{"KEY", column}, []string{key.String(), versionText(version)}
				if fresh != 0 {
					head, cells = append(head, "IN USE NOW"), append(cells, versionText(fresh))
				}
				t.row(head...)
				t.row(cells...)
			})
		})
	}
	reason.add(cmd)
	return cmd
}

// rewrapJSON is the result of keys rewrap.
type rewrapJSON struct {
	PreviousKEK string `json:"previous_kek"`
	KEK         string `json:"kek"`
}

func (a *app) keysRewrapCommand() *cobra.Command {
	var reason reasonFlag
	cmd := &cobra.Command{
		Use:   "rewrap",
		Short: "Wrap the root by the next KEK, or by the present one anew",
		Long: `Wrap the root by the KEK that the vault's configuration names as kek.next, and by the
present one anew when it names none, such as after that was rotated where it lives. The
new wrapping is opened and compared before it replaces the old one.`,
		Example: "  cloakroom keys rewrap --reason SEC-12",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := reason.check(cmd); err != nil {
				return err
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				before, after, err := client.RewrapRoot(cmd.Context(), reason.text)
				if err != nil {
					return err
				}
				return a.print(rewrapJSON{before, after}, func(t *tableWriter) {
					t.row("PREVIOUS KEK", "KEK")
					t.row(before, after)
				})
			})
		},
	}
	reason.add(cmd)
	return cmd
}
