package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what this build lacks",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			version := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
			}
			fmt.Fprintln(c.OutOrStdout(), "cloakroomd", version)
			if !pkcs11kek.Built {
				fmt.Fprintln(c.OutOrStdout(), pkcs11kek.ErrNotBuilt)
			}
			return nil
		},
	}
}
