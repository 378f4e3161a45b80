package filekek

// CheckPassphraseFile reads a file that GeneratePassphrase wrote and looks at
// its form. It tries no passphrase, which takes OpenPassphrase its time. The
// errors are those of Open.
func CheckPassphraseFile(path string) error {
	text, err := keyFile(path).read()
	if err != nil {
		return err
	}
	_, err = parseHeader(path, text)
	return err
}

// CheckCredentialName says whether systemd takes the name of a credential:
// ErrUsage when it does not.
func CheckCredentialName(name string) error { return checkCredentialName(name) }
