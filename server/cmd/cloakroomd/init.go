package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

func newInit() *cobra.Command {
	o := daemon.InitOptions{}
	var clients []string
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a vault directory: keys, stores, development certificates, configuration",
		Long: `Make a vault directory: a KEK file, the first epoch key, two empty stores, an
audit log, a development CA with certificates, and a commented configuration.

The administrator is the first principal who may apply a policy, and who cannot
reveal anything by that right. The certificates are for trying things out; a
real installation brings its own.`,
		Args: exactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.Dir = args[0]
			var err error
			if o.Clients, err = parseClients(clients); err != nil {
				return usageError{err}
			}
			path, err := daemon.Init(c.Context(), o, slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil)))
			if err != nil {
				return err
			}
			certs := filepath.Join(o.Dir, "certs")
			address := ""
			if o.Listen != config.DefaultListen { // where the command line looks by itself
				address = "--address " + o.Listen + " "
			}
			fmt.Fprintf(c.OutOrStdout(), `A vault was made in %s.

  first policy administrator  %s
  configuration               %s
  KEK                         %s
  epoch keys                  %s

Losing the KEK or the epoch keys is losing every value. Keep a second copy of
both elsewhere, and never in a backup of the data directory.

Serve it:
  cloakroomd serve --config %s
Apply a policy, as the administrator:
  cloakroom %s--ca %s/ca.crt --cert %s/%s.crt --key %s/%s.key policy apply POLICY.yaml
`, o.Dir, o.Administrator, path, filepath.Join(o.Dir, "kek", "kek.key"), filepath.Join(o.Dir, "epochs"),
				path, address, certs, certs, daemon.AdminClient, certs, daemon.AdminClient)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.Administrator, "admin", "spiffe://cloakroom.example/admin", "principal who may apply the first policy, and cannot reveal")
	f.StringVar(&o.Listen, "listen", config.DefaultListen, "address for the configuration")
	f.StringSliceVar(&o.Hosts, "host", []string{"localhost", "127.0.0.1"}, "names and addresses in the server's certificate")
	f.StringArrayVar(&clients, "client", nil, "further development certificate, as NAME=SPIFFE-ID; may be given again")
	return c
}

// parseClients reads NAME=SPIFFE-ID pairs.
func parseClients(pairs []string) (map[string]string, error) {
	out := make(map[string]string, len(pairs))
	for _, p := range pairs {
		name, id, ok := strings.Cut(p, "=")
		if !ok || name == "" || id == "" || strings.ContainsAny(name, `/\`) {
			return nil, fmt.Errorf("--client: want NAME=SPIFFE-ID")
		}
		if _, twice := out[name]; twice || name == daemon.AdminClient || name == "server" || name == "ca" {
			return nil, fmt.Errorf("--client: the name %q is taken", name)
		}
		out[name] = id
	}
	return out, nil
}
