package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/csvimport"
	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// The exit codes; the package comment says what each means.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitPartial = 4
)

// usageError is a mistake in the command line or in a file that it names.
type usageError struct {
	message string
	command string
}

func (e *usageError) Error() string { return e.message }

func wrongUse(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...), command: cmd.CommandPath()}
}

// partialError says that some items failed; they are listed elsewhere.
type partialError struct{ message string }

func (e *partialError) Error() string { return e.message }

// vaultError is an error of a call, with what hints need.
type vaultError struct {
	address string
	err     error
}

func (e *vaultError) Error() string { return e.err.Error() }
func (e *vaultError) Unwrap() error { return e.err }

// ExitCode returns the exit code that stands for an error of the root command;
// 0 for nil.
func ExitCode(err error) int {
	var (
		usage   *usageError
		header  *csvimport.HeaderError
		partial *partialError
		waiting *approvalError
		doubt   *csvimport.InterruptedError
		refusal *cloakroom.Error
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage), errors.As(err, &header):
		return exitUsage
	case errors.As(err, &partial), errors.As(err, &waiting):
		return exitPartial
	case errors.As(err, &refusal):
		switch refusal.Code {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Internal, codes.Unknown,
			codes.DataLoss, codes.ResourceExhausted, codes.Unimplemented:
			return exitFailed
		}
		return exitRefused
	case errors.As(err, &doubt):
		return exitFailed
	}
	return exitFailed
}

// report writes an error and, where one helps, a hint.
func report(w io.Writer, err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(w, "cloakroom: %s\n", printable(err.Error()))
	var refusal *cloakroom.Error
	if errors.As(err, &refusal) {
		for _, v := range refusal.Violations {
			fmt.Fprintf(w, "  %s: %s\n", printable(v.Path), printable(v.Description))
		}
	}
	if hint := hint(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// hint returns what to do about an error, empty when there is nothing to add.
func hint(err error) string {
	var (
		usage   *usageError
		header  *csvimport.HeaderError
		doubt   *csvimport.InterruptedError
		waiting *approvalError
		call    *vaultError
		refusal *cloakroom.Error
	)
	if text := auditHint(err); text != "" {
		return text
	}
	switch {
	case errors.As(err, &usage):
		return fmt.Sprintf("see '%s --help'", usage.command)
	case errors.As(err, &waiting):
		return waiting.hint()
	case errors.As(err, &header):
		return "--map column=field and --skip column say what becomes of columns; --dry-run shows it"
	case errors.As(err, &doubt) && stored(doubt.Err):
		return "run the import again with --upsert: rows that are stored already are then stored once more, with the same tokens"
	case !errors.As(err, &call) || !errors.As(err, &refusal):
		return ""
	case errors.Is(err, cloakroom.ErrUnavailable) && refusal.Reason == "":
		switch text := refusal.Message; {
		case strings.Contains(text, "x509"):
			return "the certificate of the vault was not accepted: check --ca and --server-name"
		case strings.Contains(text, "tls:"):
			return "the vault did not accept your certificate, or is no vault: check --cert, --key and --address"
		}
		return fmt.Sprintf("is cloakroomd running at %s? --address says where it is", call.address)
	case errors.Is(err, context.DeadlineExceeded):
		return "--timeout sets how long a call may take"
	}
	if refusal.Reason == "INVALID_REQUEST" {
		return requestHint(refusal.Field)
	}
	return reasonHint(refusal.Reason)
}

// requestHint says how to find out what a field of a request may hold.
func requestHint(field string) string {
	switch field {
	case "principals":
		return principalForm + "; 'cloakroom audit list' shows those that called"
	case "roles":
		return "'cloakroom policy get' shows the roles; a role is no principal"
	}
	return ""
}

// stored says whether a broken import may have stored something.
func stored(err error) bool { return ExitCode(err) == exitFailed }

func reasonHint(reason string) string {
	switch reason {
	case "PRINCIPAL_UNKNOWN", "UNAUTHENTICATED":
		return "'cloakroom whoami' shows whom the vault takes you for; the policy must name that principal"
	case "ACTION_DENIED", "FIELD_DENIED", "PURPOSE_DENIED", "VIEW_DENIED", "DOMAIN_DENIED", "DENY_RULE":
		return "'cloakroom whoami' shows your roles; the policy says what they may do"
	case "PURPOSE_NOT_DECLARED":
		return "'cloakroom describe TOKEN' shows the purposes that the field is declared for"
	case "RECORD_EXISTS":
		return "--upsert changes a record that exists"
	case "VALUE_EXISTS":
		return "'cloakroom update' replaces a value"
	case "ETAG_MISMATCH":
		return "somebody changed the record; 'cloakroom get' shows its current etag"
	case "POLICY_VERSION_MISMATCH":
		return "somebody changed the policy; 'cloakroom policy get' shows the current one"
	case "FROZEN":
		return "'cloakroom incident freezes' shows what is frozen, by whom and why"
	case "FREEZE_NOT_FOUND":
		return "'cloakroom incident freezes' shows the freezes in force"
	case "KEY_NOT_FOUND":
		return "'cloakroom keys list' shows the keys and their versions"
	case "KEY_DISABLED":
		return "'cloakroom keys list' shows which versions are disabled; 'cloakroom keys enable' takes one back"
	case "KEY_IN_USE":
		return "values under a disabled version are not re-wrapped: enable it, let 'cloakroom keys work --watch' come to its end, and disable it again; --force asks for a destruction that loses them"
	case "APPROVAL_NEEDED", "APPROVAL_NOT_FOUND":
		return "'cloakroom keys requests list' shows what waits for approval, and by whom"
	case "KEYS_UNAVAILABLE":
		return "'cloakroom keys list' says whether the vault is sealed, and why"
	case "SUBJECT_NOT_FOUND":
		return "only a person of whom the vault holds something can be named; one who was erased has a handle at most"
	case "ENTRY_NOT_FOUND":
		return "'cloakroom audit list --limit 1 --newest' shows how far the log goes; the youngest entries wait a second for their checkpoint"
	case "MALFORMED_TOKEN":
		return "a token is tok_ and 33 letters and digits; capitals matter"
	}
	return ""
}
