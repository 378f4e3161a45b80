package command

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// destroyedJSON is the result of keys destroy: destroyed, or a request that
// waits.
type destroyedJSON struct {
	Key       string          `json:"key"`
	Version   uint32          `json:"version"`
	Destroyed bool            `json:"destroyed"`
	Request   *keyRequestJSON `json:"request,omitempty"`
}

// keyRequestsJSON is the result of keys requests list.
type keyRequestsJSON struct {
	Requests []keyRequestJSON `json:"requests"`
}

type keyRequestJSON struct {
	ID          uint64   `json:"id"`
	Key         string   `json:"key"`
	Version     uint32   `json:"version"`
	Loss        string   `json:"loss"`
	Values      uint64   `json:"values"`
	Reason      string   `json:"reason"`
	RequestedBy string   `json:"requested_by"`
	RequestTime string   `json:"request_time"`
	ExpireTime  string   `json:"expire_time"`
	ApprovedBy  []string `json:"approved_by"`
}

func jsonKeyRequest(r cloakroom.KeyRequest) keyRequestJSON {
	return keyRequestJSON{
		r.ID, r.Key.String(), r.Version, r.Loss, r.Values, r.Reason, r.RequestedBy, exactTime(r.RequestTime), exactTime(r.ExpireTime),
		append([]string{}, r.ApprovedBy...),
	}
}

func (a *app) keysDestroyCommand() *cobra.Command {
	reason := reasonFlag{required: true}
	var force bool
	cmd := &cobra.Command{
		Use:   "destroy KEY VERSION --reason CODE",
		Short: "Destroy a disabled version for ever",
		Long: `Destroy a disabled version for ever. First everything that is stored is counted: when
values still need the version it is refused. So rotate first, let the re-wrap come to
its end ('keys work --watch'), and then disable the version: values under a disabled
one are not re-wrapped.

With --force the destruction then becomes a request: it says what will be lost, and
two others must approve it with 'keys requests approve'. Versions of domains, whose
tokens are outside, and of audit-ref, which older entries of the log need, take that
way always. The exit code is then 4: nothing is destroyed yet.

` + keyForms,
		Example: `  cloakroom keys rotate customers.email --reason SEC-12 --watch
  cloakroom keys disable customers.email 1 --reason SEC-12
  cloakroom keys destroy customers.email 1 --reason SEC-12`,
		Args: arguments("KEY", "VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, version, err := versionArguments(cmd, args)
			if err != nil {
				return err
			}
			if err := reason.check(cmd); err != nil {
				return err
			}
			var options []cloakroom.DestroyOption
			if force {
				options = append(options, cloakroom.Force())
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				request, err := client.DestroyKey(cmd.Context(), key, version, reason.text, options...)
				if err != nil {
					return err
				}
				return a.printDestroyed(key, version, request)
			})
		},
	}
	reason.add(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "ask for it although values need the version; two others must approve, and the values are lost")
	return cmd
}

func (a *app) printDestroyed(key cloakroom.KeyName, version uint32, request *cloakroom.KeyRequest) error {
	out := destroyedJSON{Key: key.String(), Version: version, Destroyed: request == nil}
	if request == nil {
		return a.print(out, func(t *tableWriter) {
			t.row("KEY", "DESTROYED")
			t.row(key.String(), versionText(version))
		})
	}
	waiting := jsonKeyRequest(*request)
	out.Request = &waiting
	err := a.print(out, func(t *tableWriter) {
		t.row("WILL BE LOST", request.Loss)
		t.row("VALUES", strconv.FormatUint(request.Values, 10))
		t.row("KEY", request.Key.String())
		t.row("VERSION", versionText(request.Version))
		t.row("REQUEST", strconv.FormatUint(request.ID, 10))
		t.row("LAPSES", stamp(request.ExpireTime))
	})
	if err != nil {
		return err
	}
	return &approvalError{id: request.ID}
}

// approvalError says that a destruction waits for others.
type approvalError struct{ id uint64 }

func (e *approvalError) Error() string {
	return fmt.Sprintf("nothing is destroyed yet: request %d waits for the approval of two others", e.id)
}

func (e *approvalError) hint() string {
	return fmt.Sprintf("each of the two runs 'cloakroom keys requests approve %d --reason CODE'; 'cloakroom keys requests withdraw %d --reason CODE' takes it back", e.id, e.id)
}

func (a *app) keysRequestsListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the destructions that wait for approval, and what will be lost",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				requests, err := client.KeyRequests(cmd.Context())
				if err != nil {
					return err
				}
				out := keyRequestsJSON{Requests: make([]keyRequestJSON, len(requests))}
				for i, r := range requests {
					out.Requests[i] = jsonKeyRequest(r)
				}
				return a.print(out, func(t *tableWriter) {
					t.row("ID", "KEY", "VERSION", "VALUES", "REASON", "REQUESTED BY", "SINCE", "LAPSES", "APPROVED BY", "WILL BE LOST")
					for _, r := range requests {
						t.row(strconv.FormatUint(r.ID, 10), r.Key.String(), versionText(r.Version), strconv.FormatUint(r.Values, 10), r.Reason,
							r.RequestedBy, stamp(r.RequestTime), stamp(r.ExpireTime), strings.Join(r.ApprovedBy, ","), r.Loss)
					}
				})
			})
		},
	}
}

// requestID reads the number of a request.
func requestID(cmd *cobra.Command, text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil || id == 0 {
		return 0, wrongUse(cmd, "ID is the number of a request, as 'cloakroom keys requests list' shows it")
	}
	return id, nil
}

func (a *app) keysApproveCommand() *cobra.Command {
	reason := reasonFlag{required: true}
	cmd := &cobra.Command{
		Use:   "approve ID --reason CODE",
		Short: "Approve a destruction that somebody else asked for; the second approval carries it out",
		Long: `Approve a destruction that somebody else asked for. The second approval, of another
principal, carries it out: what 'keys requests list' says will be lost is lost then.`,
		Example: "  cloakroom keys requests approve 3 --reason SEC-12",
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := requestID(cmd, args[0])
			if err != nil {
				return err
			}
			if err := reason.check(cmd); err != nil {
				return err
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				destroyed, err := client.ApproveKeyRequest(cmd.Context(), id, reason.text)
				if err != nil {
					return err
				}
				if !destroyed {
					fmt.Fprintln(a.Stderr, "nothing is destroyed yet: the approval of one more principal is needed")
				}
				return a.print(struct {
					ID        uint64 `json:"id"`
					Destroyed bool   `json:"destroyed"`
				}{id, destroyed}, func(t *tableWriter) {
					t.row("REQUEST", "DESTROYED")
					t.row(args[0], yesNo(destroyed))
				})
			})
		},
	}
	reason.add(cmd)
	return cmd
}

func (a *app) keysWithdrawCommand() *cobra.Command {
	reason := reasonFlag{required: true}
	cmd := &cobra.Command{
		Use:     "withdraw ID --reason CODE",
		Short:   "Take a request back, or turn it down",
		Example: "  cloakroom keys requests withdraw 3 --reason SEC-12",
		Args:    arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := requestID(cmd, args[0])
			if err != nil {
				return err
			}
			if err := reason.check(cmd); err != nil {
				return err
			}
			return a.withClient(cmd, func(client *cloakroom.Client) error {
				if err := client.WithdrawKeyRequest(cmd.Context(), id, reason.text); err != nil {
					return err
				}
				return a.print(struct {
					ID uint64 `json:"id"`
				}{id}, func(t *tableWriter) {
					t.row("WITHDRAWN")
					t.row(args[0])
				})
			})
		},
	}
	reason.add(cmd)
	return cmd
}
