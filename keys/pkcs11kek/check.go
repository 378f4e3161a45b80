package pkcs11kek

// Check looks at the fields alone: it loads no library and reads no file.
// ErrUsage names a field and its rule.
func (c Config) Check() error {
	_, err := c.complete()
	return err
}

// Check looks whether r can name a key: ErrUsage.
func (r KeyRef) Check() error { return r.check() }

// CheckPrefix looks whether Token.Epochs takes a prefix: ErrUsage.
func CheckPrefix(prefix string) error { return checkPrefix(prefix) }
