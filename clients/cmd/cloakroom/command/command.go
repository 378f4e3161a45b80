// Package command is the command line of Cloakroom: a tree of cobra commands,
// one file each, that talk to a vault through the Go client.
//
// # Output
//
// Results go to standard output, as aligned tables or, with --output json, as
// one JSON object whose shape is stable: names are never changed or removed,
// new ones may come. "audit tail" and "keys work --watch" write one such object a line, and long
// results can be CSV. Times are RFC 3339 in UTC. Everything else, errors and
// progress, goes to standard error. A call that fails as a whole prints nothing
// to standard output. Long results are written as they come: JSON that was cut
// off by an error is not whole.
//
// # Exit codes
//
//	0  done
//	1  failed: the vault cannot be reached or cannot serve, or a file cannot be
//	   read or written, or the audit log is not what it should be
//	2  wrong use: a flag, an argument, or a file that one of them names
//	3  refused: the vault answered and said no
//	4  done in part: some rows or tokens failed, and are listed; work on keys left
//	   something undone; or a destruction waits for the approval of others
//
// # Claims
//
// No error or progress line holds a value, also not one from the command line.
// Values come out of "reveal" and "record" only. Control characters in them are
// escaped in tables, so that no stored value can drive a terminal.
package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Environment is what the commands see of the world.
type Environment struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Getenv reads an environment variable, as os.Getenv does.
	Getenv func(string) string
	// Terminal says whether Stderr is a terminal; progress is shown only there.
	Terminal bool
	// ConfigDir returns the user's folder of configurations, as os.UserConfigDir
	// does.
	ConfigDir func() (string, error)
	// Now is the clock, as time.Now is.
	Now func() time.Time
}

// System is the environment of the process.
func System() Environment {
	info, err := os.Stderr.Stat()
	return Environment{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Terminal:  err == nil && info.Mode()&os.ModeCharDevice != 0,
		ConfigDir: os.UserConfigDir, Now: time.Now,
	}
}

// Run runs the command line with the arguments after the program's name,
// reports its error, and returns the exit code.
func Run(ctx context.Context, args []string, env Environment) int {
	root := New(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	report(env.Stderr, err)
	return ExitCode(err)
}

// app is what the commands share.
type app struct {
	Environment
	address, ca, cert, key, serverName string
	timeout                            time.Duration
	output                             string
	domain                             string
}

// New makes the root command. Its errors are not printed: see Run.
func New(env Environment) *cobra.Command {
	a := &app{Environment: env}
	root := &cobra.Command{
		Use:   "cloakroom",
		Short: "Keep personal data in a vault and hold tokens for it",
		Long: `Keep personal data in a vault and hold tokens for it.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 refused by the vault, 4 done in part.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if a.output != "table" && a.output != "json" {
				return wrongUse(cmd, "--output is table or json")
			}
			return nil
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// What stands before the flag is then the name of a command that is not
		// there, and the flag would be that command's.
		if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
			return unknownCommand(cmd, cmd.Flags().Arg(0))
		}
		return wrongUse(cmd, "%v", err)
	})

	flags := root.PersistentFlags()
	flags.StringVar(&a.address, "address", "", "host:port of the vault (env CLOAKROOM_ADDRESS; default "+defaultAddress+")")
	flags.StringVar(&a.ca, "ca", "", "PEM `file` of the CA of the vault (env CLOAKROOM_CA; default: the CAs of the system)")
	flags.StringVar(&a.cert, "cert", "", "PEM `file` of your certificate (env CLOAKROOM_CERT)")
	flags.StringVar(&a.key, "key", "", "PEM `file` of its key (env CLOAKROOM_KEY)")
	flags.StringVar(&a.serverName, "server-name", "", "`name` in the vault's certificate, if not the host (env CLOAKROOM_SERVER_NAME)")
	flags.DurationVar(&a.timeout, "timeout", 30*time.Second, "limit of each call; import, incident exposure, audit tail, audit verify, keys work, and what counts all values have none")
	flags.StringVarP(&a.output, "output", "o", "table", "table or json")
	flags.StringVar(&a.domain, "domain", "", "token domain (the vault's default is \"default\")")

	root.AddCommand(
		a.putCommand(), a.importCommand(), a.getCommand(), a.listCommand(), a.updateCommand(), a.deleteCommand(),
		a.tokenizeCommand(), a.describeCommand(), a.revealCommand(), a.recordCommand(),
		a.policyCommand(), a.auditCommand(), a.incidentCommand(), a.keysCommand(), a.whoamiCommand(), a.healthCommand(), a.versionCommand(),
	)
	return root
}

// arguments checks the number of arguments without repeating any: one may be a
// value that was typed in the wrong place.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return wrongUse(cmd, "%s takes %d arguments (%s) and got %d",
			cmd.Name(), len(names), strings.Join(names, ", "), len(args))
	}
}

// atLeastOne is for commands that take any number of arguments.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return wrongUse(cmd, "%s takes at least one %s", cmd.Name(), name)
		}
		return nil
	}
}

// family makes a command that only has others below it.
func family(use, short, long string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(children...)
	return cmd
}

// unknownCommand names the commands that may be meant.
func unknownCommand(parent *cobra.Command, name string) error {
	message := fmt.Sprintf("unknown command %q", name)
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return wrongUse(parent, "%s", message)
}
