package main

import (
	"errors"
	"fmt"
	"io"
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
	var path string
	c := &cobra.Command{
		Use:   "init DIR | init --config FILE",
		Short: "Make a vault: keys, stores, development certificates, configuration",
		Long: `Make a vault directory: a KEK file, the first epoch key, two empty stores, an
audit log, a development CA with certificates, and a commented configuration.

With --config, make a vault where a prepared configuration says, under any key
provider. The KEK must be there (see make-kek); the data directory, a directory
of epoch keys, and certificates named server.crt, server.key and ca.crt are made
when they are missing.

The administrator is the first principal who may apply a policy, and who cannot
reveal anything by that right. The certificates are for trying things out; a
real installation brings its own.`,
		Args: func(c *cobra.Command, args []string) error {
			if path != "" {
				return exactArgs(0)(c, args)
			}
			return exactArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if o.Clients, err = parseClients(clients); err != nil {
				return usageError{err}
			}
			logger := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			if path != "" {
				if c.Flags().Changed("listen") {
					return usageError{errors.New("--listen: the configuration says where to listen")}
				}
				cfg, err := daemon.InitWith(c.Context(), path, o, logger)
				if err != nil {
					return err
				}
				tellMade(c.OutOrStdout(), cfg.Directory, o.Administrator, path, cfg)
				return nil
			}
			o.Dir = args[0]
			if path, err = daemon.Init(c.Context(), o, logger); err != nil {
				return err
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			tellMade(c.OutOrStdout(), o.Dir, o.Administrator, path, cfg)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&path, "config", "", "a prepared configuration, in place of DIR")
	f.StringVar(&o.Administrator, "admin", "spiffe://cloakroom.example/admin", "principal who may apply the first policy, and cannot reveal")
	f.StringVar(&o.Listen, "listen", config.DefaultListen, "address for the configuration")
	f.StringSliceVar(&o.Hosts, "host", []string{"localhost", "127.0.0.1"}, "names and addresses in the server's certificate")
	f.StringArrayVar(&clients, "client", nil, "further development certificate, as NAME=SPIFFE-ID; may be given again")
	return c
}

// tellMade says what was made and how to go on.
func tellMade(w io.Writer, where, administrator, path string, cfg *config.Config) {
	certs := filepath.Dir(cfg.TLS.ClientCA)
	address := ""
	if cfg.Listen != config.DefaultListen { // where the command line looks by itself
		address = "--address " + cfg.Listen + " "
	}
	kek, epochs := cfg.KEK.File, cfg.Epochs.Directory
	if kek == "" {
		kek = "by " + cfg.KEK.Kind()
	}
	if epochs == "" {
		epochs = "by " + cfg.Epochs.Kind()
	}
	fmt.Fprintf(w, `A vault was made in %s.

  first policy administrator  %s
  configuration               %s
  KEK                         %s
  epoch keys                  %s

Losing the KEK or the epoch keys is losing every value. Keep a second copy of
key files elsewhere, and never in a backup of the data directory.

Serve it:
  cloakroomd serve --config %s
Apply a policy, as the administrator:
  cloakroom %s--ca %s --cert %s/%s.crt --key %s/%s.key policy apply POLICY.yaml
`, where, administrator, path, kek, epochs,
		path, address, cfg.TLS.ClientCA, certs, daemon.AdminClient, certs, daemon.AdminClient)
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
