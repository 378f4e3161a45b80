package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/config"
)

func newCheckConfig() *cobra.Command {
	return &cobra.Command{
		Use:   "check-config FILE",
		Short: "Check a configuration and the files it names, and report all mistakes at once",
		Args:  exactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.Load(args[0])
			if err != nil {
				return err
			}
			if err := cfg.Check(); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "the configuration is good")
			return nil
		},
	}
}
