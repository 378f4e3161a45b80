package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/demo"
)

func newDemo() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the vault at work on sample customers, in a temporary directory",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return demo.Run(c.Context(), demo.Options{
				Out:    c.OutOrStdout(),
				Logger: slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
				Keep:   keep,
			})
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave the vault running and print commands to go on with")
	return c
}
