// Command cloakroom stores personal data in a vault, reveals it, and keeps the
// vault's policy. See "cloakroom --help".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, os.Args[1:], command.System())
	stop()
	os.Exit(code)
}
