package command

import (
	"strconv"

	"github.com/spf13/cobra"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// keyForms says how keys are named on the command line.
const keyForms = `KEY is customers.email or field/customers.email, index/customers.email,
domain/NAME, lookup, rows, audit-ref, audit-signer, root or epoch. A field that the
policy no longer declares goes by its number, as in field/17.`

func (a *app) keysCommand() *cobra.Command {
	return family("keys", "List, rotate, disable and destroy keys",
		`List keys and change them while the vault serves. No command shows key material.

A rotation gives a key a fresh version and re-wraps in the background what is stored
('keys work' shows how far it is). 'keys disable' refuses a version at once; 'keys
destroy' is for ever, and first makes sure that nothing needs the version.

`+keyForms,
		a.keysListCommand(), a.keysRotateCommand(), a.keysPromoteCommand(), a.keysDisableCommand(), a.keysEnableCommand(),
		a.keysDestroyCommand(), a.keysRewrapCommand(), a.keysWorkCommand(),
		a.keysStateCommand("pause", "paused", "Stop re-wrapping values until it is resumed, also over restarts", (*cloakroom.Client).PauseRewrap),
		a.keysStateCommand("resume", "running", "Let a paused re-wrap go on", (*cloakroom.Client).ResumeRewrap),
		a.keysStateCommand("rewrap-values", "running", "Begin to re-wrap what is stored under versions that are not in use", (*cloakroom.Client).RewrapValues),
		family("epoch", "End the epoch in use, which makes what was erased unreadable in older copies too", "", a.keysEpochEndCommand()),
		family("requests", "Destructions that wait for approval", "",
			a.keysRequestsListCommand(), a.keysApproveCommand(), a.keysWithdrawCommand()))
}

// keyArgument reads the name of a key.
func keyArgument(cmd *cobra.Command, text string) (cloakroom.KeyName, error) {
	key, err := cloakroom.ParseKeyName(text)
	if err != nil {
		return key, wrongUse(cmd, "KEY: %v", err)
	}
	return key, nil
}

// versionArguments reads the name of a keyset and a version of it.
func versionArguments(cmd *cobra.Command, args []string) (cloakroom.KeyName, uint32, error) {
	key, err := keyArgument(cmd, args[0])
	if err != nil {
		return key, 0, err
	}
	switch key.Kind {
	case cloakroom.KeyRoot, cloakroom.KeyKEK, cloakroom.KeyEpoch:
		return key, 0, wrongUse(cmd, "versions of %s cannot be changed one by one", key.Kind)
	}
	version, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil || version == 0 {
		return key, 0, wrongUse(cmd, "VERSION is a number from 1, as 'cloakroom keys list' shows it")
	}
	return key, uint32(version), nil
}

// versionText is a version in a table; 0 is none.
func versionText(version uint32) string {
	if version == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(version), 10)
}

// keyVersionJSON is the result of keys promote, enable and disable.
type keyVersionJSON struct {
	Key     string `json:"key"`
	Version uint32 `json:"version"`
	// FreshVersion is the version that replaced a disabled one that was in use.
	FreshVersion uint32 `json:"fresh_version,omitempty"`
}
