package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // something failed
	exitUsage = 2 // a wrong command, flag or argument
)

// usageError is a mistake on the command line.
type usageError struct{ error }

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(errs, "cloakroomd: %v\n", err)
	if h := hint(err); h != "" {
		fmt.Fprintf(errs, "hint: %s\n", h)
	}
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "required flag") {
		fmt.Fprintf(errs, "Run \"cloakroomd --help\" for usage.\n")
		return exitUsage
	}
	return exitError
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "cloakroomd",
		Short:         "A privacy vault: services keep tokens, the vault keeps the values",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newInit(), newMakeKEK(), newServe(), newCheckConfig(), newDemo(), newBench(), newAudit(), newRecovery(), newBackup(), newRestore(), newFsck(), newVersion())
	return root
}

// noArgs refuses what stands beside the flags. Only where there are commands
// below can that be a command that is not there.
func noArgs(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case c.HasSubCommands():
		return unknownCommand(c, args[0])
	default:
		return usageError{fmt.Errorf("%s takes no argument beside its flags; usage: %s", c.CommandPath(), c.UseLine())}
	}
}

func exactArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("usage: %s", c.UseLine())}
		}
		return nil
	}
}
