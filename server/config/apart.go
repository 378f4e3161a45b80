package config

import "slices"

// named is a provider and where it stands in the file.
type named struct {
	path       string
	file       string
	credential string
	directory  string // of epochs
	passphrase *Passphrase
	transit    *Transit
	gcp        *GCP
	pkcs11     *PKCS11
}

// providers returns every provider of the configuration.
func (c *Config) providers() []named {
	of := func(path string, p Provider) named {
		return named{path: path, file: p.File, credential: p.Credential, passphrase: p.Passphrase, transit: p.Transit, gcp: p.GCP, pkcs11: p.PKCS11}
	}
	e := c.Epochs
	list := []named{of("kek", c.KEK.Provider)}
	if c.KEK.Next != nil {
		list = append(list, of("kek.next", *c.KEK.Next))
	}
	list = append(list, named{path: "epochs", directory: e.Directory, transit: e.Transit, gcp: e.GCP, pkcs11: e.PKCS11})
	if b := c.Backup; b != nil {
		list = append(list, of("backup.values.kek", b.Values.KEK), of("backup.keys.kek", b.Keys.KEK))
	}
	return list
}

// place is a file or folder and where it stands in the configuration.
type place struct{ key, path string }

// copies returns where backups go.
func (c *Config) copies() []place {
	if c.Backup == nil {
		return nil
	}
	return []place{{"backup.values.directory", c.Backup.Values.Directory}, {"backup.keys.directory", c.Backup.Keys.Directory}}
}

// secrets returns what a provider needs that is secret: keys, and what opens
// the way to them.
func (n named) secrets() (list []place) {
	add := func(key, path string) {
		if path != "" {
			list = append(list, place{n.path + "." + key, path})
		}
	}
	add("file", n.file)
	add("directory", n.directory)
	if p := n.passphrase; p != nil {
		add("passphrase.file", p.File)
		add("passphrase.from_file", p.FromFile)
	}
	if t := n.transit; t != nil {
		add("transit.token_file", t.TokenFile)
		if t.AppRole != nil {
			add("transit.approle.secret_id_file", t.AppRole.SecretIDFile)
		}
		if t.Kubernetes != nil {
			add("transit.kubernetes.token_file", t.Kubernetes.TokenFile)
		}
	}
	if n.gcp != nil {
		add("gcp.credentials_file", n.gcp.CredentialsFile)
	}
	if n.pkcs11 != nil {
		add("pkcs11.pin_file", n.pkcs11.PINFile)
	}
	return list
}

// apart notes keys that stand where a backup takes the data, and backups that
// stand beside what they save; real resolves each path first.
func (c *Config) apart(f *findings, real func(string) string) {
	data := []place{{"directory", c.Directory}, {"audit.directory", c.Audit.Directory}}
	copies := c.copies()
	within := func(path string, places []place) string {
		path = real(path)
		for _, p := range places {
			if inside(real(p.path), path) {
				return p.key
			}
		}
		return ""
	}
	for _, p := range c.providers() {
		for _, s := range p.secrets() {
			if in := within(s.path, slices.Concat(data, copies)); in != "" {
				f.add(c.lines[s.key], s.key, "must not be inside %s: a backup would hold the keys beside what they protect", in)
			}
		}
	}
	for _, s := range copies {
		others := slices.DeleteFunc(slices.Clone(copies), func(o place) bool { return o.key == s.key })
		switch {
		case within(s.path, data) != "":
			f.add(c.lines[s.key], s.key, "must not be inside %s: a backup beside the data is lost with it", within(s.path, data))
		case within(s.path, others) != "":
			f.add(c.lines[s.key], s.key, "must not be inside %s: keys and values are kept apart", within(s.path, others))
		}
	}
	for _, s := range data {
		if in := within(s.path, copies); in != "" {
			f.add(c.lines[in], in, "must not hold %s: old backups are removed from it", s.key)
		}
	}
}
