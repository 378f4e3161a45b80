package config

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// flow writes a YAML mapping in one line, leaving out what is empty.
type flow struct {
	parts []string
	err   error
}

func (f *flow) text(key, value string) {
	if value == "" {
		return
	}
	text, err := scalarText(value)
	if err != nil && f.err == nil {
		f.err = err
	}
	f.parts = append(f.parts, key+": "+text)
}

func (f *flow) add(key, value string, set bool) {
	if set {
		f.parts = append(f.parts, key+": "+value)
	}
}

func (f *flow) duration(key string, d time.Duration) { f.add(key, short(d), d != 0) }

func (f *flow) period(key string, d time.Duration) { f.add(key, periodText(d), d != 0) }

func (f *flow) flag(key string, is bool) { f.add(key, "true", is) }

func (f *flow) inner(key string, in flow) {
	if in.err != nil && f.err == nil {
		f.err = in.err
	}
	f.add(key, in.String(), true)
}

// String returns the mapping in braces.
func (f *flow) String() string { return "{" + strings.Join(f.parts, ", ") + "}" }

// providerText writes the one key of a provider with its value.
func providerText(p any) (string, error) {
	one, ok := p.(Provider)
	if next, is := p.(*Provider); is {
		one, ok = *next, true
	}
	var f flow
	switch {
	case !ok:
		return "", fmt.Errorf("%T is no provider", p)
	case one.File != "":
		f.text("file", one.File)
	case one.Credential != "":
		f.text("credential", one.Credential)
	case one.Passphrase != nil:
		var in flow
		in.text("file", one.Passphrase.File)
		in.text("from_file", one.Passphrase.FromFile)
		in.text("from_credential", one.Passphrase.FromCredential)
		f.inner("passphrase", in)
	default:
		f.services(one.Transit, one.AWS, one.GCP, one.PKCS11)
	}
	return strings.Join(f.parts, ""), f.err
}

// epochsText is providerText of epochs.
func epochsText(p EpochProvider) (string, error) {
	var f flow
	if p.Directory != "" {
		f.text("directory", p.Directory)
	} else {
		f.services(p.Transit, p.AWS, p.GCP, p.PKCS11)
	}
	return strings.Join(f.parts, ""), f.err
}

// services writes the one of the four that is there.
func (f *flow) services(t *Transit, a *AWS, g *GCP, p *PKCS11) {
	var in flow
	switch {
	case t != nil:
		in.transit(t)
		f.inner("transit", in)
	case a != nil:
		in.text("region", a.Region)
		in.text("key", a.Key)
		in.text("prefix", a.Prefix)
		in.period("destruction_delay", a.DestructionDelay)
		in.text("endpoint", a.Endpoint)
		in.text("profile", a.Profile)
		in.duration("timeout", a.Timeout)
		f.inner("aws", in)
	case g != nil:
		in.text("key", g.Key)
		in.text("key_ring", g.KeyRing)
		in.period("destruction_delay", g.DestructionDelay)
		in.flag("hsm", g.HSM)
		in.text("endpoint", g.Endpoint)
		in.text("credentials_file", g.CredentialsFile)
		in.duration("timeout", g.Timeout)
		f.inner("gcp", in)
	case p != nil:
		in.text("library", p.Library)
		in.text("token", p.Token)
		in.text("serial", p.Serial)
		in.text("pin_file", p.PINFile)
		in.flag("module_iv", p.ModuleIV)
		in.text("label", p.Label)
		in.text("id", hex.EncodeToString(p.ID))
		in.text("prefix", p.Prefix)
		in.add("sessions", strconv.Itoa(p.Sessions), p.Sessions != 0)
		in.duration("timeout", p.Timeout)
		f.inner("pkcs11", in)
	}
}

func (f *flow) transit(t *Transit) {
	f.text("address", t.Address)
	f.text("namespace", t.Namespace)
	f.text("mount", t.Mount)
	f.text("key", t.Key)
	f.text("prefix", t.Prefix)
	f.text("ca", t.CA)
	f.duration("timeout", t.Timeout)
	f.text("token_file", t.TokenFile)
	var in flow
	switch {
	case t.AppRole != nil:
		in.text("role_id_file", t.AppRole.RoleIDFile)
		in.text("secret_id_file", t.AppRole.SecretIDFile)
		in.text("mount", t.AppRole.Mount)
		f.inner("approle", in)
	case t.Kubernetes != nil:
		in.text("role", t.Kubernetes.Role)
		in.text("token_file", t.Kubernetes.TokenFile)
		in.text("mount", t.Kubernetes.Mount)
		f.inner("kubernetes", in)
	}
}
