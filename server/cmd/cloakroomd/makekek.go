package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

func newMakeKEK() *cobra.Command {
	var path, which string
	c := &cobra.Command{
		Use:   "make-kek --config FILE",
		Short: "Make the KEK that a configuration names: a key file, a passphrase file, or a key in a PKCS#11 token",
		Long: `Make the key of a KEK that a configuration names: a key file, a passphrase file,
or a key in a PKCS#11 token. A key that is there is never replaced. Keys of a
transit engine and of clouds are made with the tools of those services.

The key of a vault that exists is not made again: a new key opens nothing.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			all := keks(cfg)
			i := slices.IndexFunc(all, func(k named) bool { return k.name == which })
			if i < 0 {
				return usageError{fmt.Errorf("--which: the configuration has no such KEK; it has %s", names(all))}
			}
			if err := daemon.MakeKEK(c.Context(), all[i].provider); err != nil {
				return fmt.Errorf("make %s: %w", which, err)
			}
			fmt.Fprintf(c.OutOrStdout(), "A key was made for %s. Keep a second copy of it elsewhere, where it can be copied: without it nothing opens.\n", which)
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", "", "the configuration file (required)")
	c.Flags().StringVar(&which, "which", "kek", "kek, kek.next, backup.values.kek or backup.keys.kek")
	_ = c.MarkFlagRequired("config")
	return c
}

// named is a KEK and where it stands in the configuration.
type named struct {
	name     string
	provider *config.Provider
}

// keks returns the KEKs of a configuration.
func keks(c *config.Config) []named {
	all := []named{{"kek", &c.KEK.Provider}}
	if c.KEK.Next != nil {
		all = append(all, named{"kek.next", c.KEK.Next})
	}
	if b := c.Backup; b != nil {
		all = append(all, named{"backup.values.kek", &b.Values.KEK}, named{"backup.keys.kek", &b.Keys.KEK})
	}
	return all
}

func names(all []named) string {
	var list []string
	for _, k := range all {
		list = append(list, k.name)
	}
	return strings.Join(list, ", ")
}
