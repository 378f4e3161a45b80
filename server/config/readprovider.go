package config

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

const (
	maxText     = 1024 // bytes of an address or a name; providers have their own rules
	minTimeout  = 100 * time.Millisecond
	maxTimeout  = time.Minute
	maxSessions = 64
	maxDelay    = 365 * day // of a destruction; providers have their own limits
)

func kekKinds() []string {
	return []string{"file", "credential", "passphrase", "transit", "aws", "gcp", "pkcs11"}
}

func epochKinds() []string { return []string{"directory", "transit", "aws", "gcp", "pkcs11"} }

// one notes a section that has not exactly one of some kinds, and returns the
// kind that it has.
func (r reader) one(s section, kinds []string) string {
	kind := ""
	for _, k := range kinds {
		if s.values[k] == nil {
			continue
		}
		if kind != "" {
			kind = ""
			break
		}
		kind = k
	}
	if kind == "" && !s.wrong {
		last := len(kinds) - 1
		r.add(s.line, s.path, "want exactly one of %s and %s", strings.Join(kinds[:last], ", "), kinds[last])
	}
	if n := s.values[kind]; n != nil {
		r.c.lines[s.in(kind)] = n.Line
	}
	return kind
}

func (r reader) provider(s section) (p Provider) {
	kind := r.one(s, kekKinds())
	at, n := s.in(kind), s.values[kind]
	switch kind {
	case "file":
		p.File = r.path(s, kind, "")
	case "credential":
		p.Credential = r.credential(s, kind)
	case "passphrase":
		p.Passphrase = r.passphrase(n, at)
	case "transit":
		p.Transit = r.transit(n, at, "key")
	case "aws":
		s := r.section(n, at, "region", "key", "endpoint", "profile", "timeout")
		p.AWS = r.aws(s)
		p.AWS.Key = r.text(s, "key")
		r.rule(s, p.AWS.Options().Check())
	case "gcp":
		s := r.section(n, at, "key", "endpoint", "credentials_file", "timeout")
		p.GCP = r.gcp(s)
		p.GCP.Key = r.text(s, "key")
		r.rule(s, p.GCP.Options().Check())
	case "pkcs11":
		s := r.section(n, at, append(tokenKeys(), "label", "id")...)
		p.PKCS11 = r.pkcs11(s)
		p.PKCS11.Label, p.PKCS11.ID = r.text(s, "label"), r.hex(s, "id")
		if s.values["id"] == nil || p.PKCS11.ID != nil { // else it is noted
			r.rule(s, p.PKCS11.Ref().Check())
		}
	}
	return p
}

func (r reader) epochProvider(s section) (p EpochProvider) {
	kind := r.one(s, epochKinds())
	at, n := s.in(kind), s.values[kind]
	switch kind {
	case "directory":
		p.Directory = r.path(s, kind, "")
	case "transit":
		p.Transit = r.transit(n, at, "prefix")
	case "aws":
		s := r.section(n, at, "region", "prefix", "destruction_delay", "endpoint", "profile", "timeout")
		p.AWS = r.aws(s)
		p.AWS.Prefix = r.text(s, "prefix")
		p.AWS.DestructionDelay = r.period(s, "destruction_delay", 0, day, maxDelay)
		r.rule(s, p.AWS.EpochOptions().Check())
	case "gcp":
		s := r.section(n, at, "key_ring", "destruction_delay", "hsm", "endpoint", "credentials_file", "timeout")
		p.GCP = r.gcp(s)
		p.GCP.KeyRing, p.GCP.HSM = r.text(s, "key_ring"), r.flag(s, "hsm", false)
		p.GCP.DestructionDelay = r.period(s, "destruction_delay", 0, day, maxDelay)
		r.rule(s, p.GCP.EpochOptions().Check())
	case "pkcs11":
		s := r.section(n, at, append(tokenKeys(), "prefix")...)
		p.PKCS11 = r.pkcs11(s)
		p.PKCS11.Prefix = r.text(s, "prefix")
		r.rule(s, pkcs11kek.CheckPrefix(p.PKCS11.Prefix))
	}
	return p
}

func (r reader) passphrase(n *yaml.Node, at string) *Passphrase {
	s := r.section(n, at, "file", "from_file", "from_credential")
	p := &Passphrase{File: r.path(s, "file", "the path of a passphrase file, which has salt and cost")}
	switch r.one(s, []string{"from_file", "from_credential"}) {
	case "from_file":
		p.FromFile = r.path(s, "from_file", "")
	case "from_credential":
		p.FromCredential = r.credential(s, "from_credential")
	}
	return p
}

// transit reads a key or a prefix of keys, as which says.
func (r reader) transit(n *yaml.Node, at, which string) *Transit {
	who := []string{"token_file", "approle", "kubernetes"}
	s := r.section(n, at, append([]string{"address", "namespace", "mount", which, "ca", "timeout"}, who...)...)
	t := &Transit{
		Address: r.text(s, "address"), Namespace: r.text(s, "namespace"), Mount: r.text(s, "mount"),
		CA: r.optionalPath(s, "ca"), Timeout: r.timeout(s),
	}
	if which == "key" {
		t.Key = r.text(s, which)
	} else {
		t.Prefix = r.text(s, which)
	}
	s.need("address", "https://host:port of the server")
	s.need(which, "which key of the engine")
	switch r.one(s, who) {
	case "token_file":
		t.TokenFile = r.path(s, "token_file", "")
	case "approle":
		a := r.section(s.values["approle"], s.in("approle"), "role_id_file", "secret_id_file", "mount")
		t.AppRole = &AppRole{
			RoleIDFile:   r.path(a, "role_id_file", "the path of a file with the id of the role"),
			SecretIDFile: r.path(a, "secret_id_file", "the path of a file with the secret id"),
			Mount:        r.text(a, "mount"),
		}
	case "kubernetes":
		k := r.section(s.values["kubernetes"], s.in("kubernetes"), "role", "token_file", "mount")
		k.need("role", "the name of a role")
		t.Kubernetes = &Kubernetes{Role: r.text(k, "role"), TokenFile: r.optionalPath(k, "token_file"), Mount: r.text(k, "mount")}
	}
	r.rule(s, t.Options().Check())
	return t
}

func (r reader) aws(s section) *AWS {
	return &AWS{Region: r.text(s, "region"), Endpoint: r.text(s, "endpoint"), Profile: r.text(s, "profile"), Timeout: r.timeout(s)}
}

func (r reader) gcp(s section) *GCP {
	g := &GCP{CredentialsFile: r.optionalPath(s, "credentials_file"), Timeout: r.timeout(s)}
	if s.values["endpoint"] != nil {
		g.Endpoint = r.address(s, "endpoint", "")
	}
	return g
}

func tokenKeys() []string {
	return []string{"library", "token", "serial", "pin_file", "module_iv", "sessions", "timeout"}
}

func (r reader) pkcs11(s section) *PKCS11 {
	p := &PKCS11{
		Library: r.path(s, "library", "the path of the vendor's library"), Token: r.text(s, "token"), Serial: r.text(s, "serial"),
		PINFile: r.path(s, "pin_file", "the path of a file with the PIN"), ModuleIV: r.flag(s, "module_iv", false),
		Sessions: r.integer(s, "sessions", 0, 1, maxSessions), Timeout: r.timeout(s),
	}
	s.need("token", "the label of the token")
	r.rule(s, p.TokenConfig().Check())
	return p
}

func (r reader) timeout(s section) time.Duration {
	return r.duration(s, "timeout", 0, minTimeout, maxTimeout)
}

func (r reader) credential(s section, key string) string {
	name := r.text(s, key)
	if err := filekek.CheckCredentialName(name); err != nil && name != "" {
		r.add(s.values[key].Line, s.in(key), "%s", strings.TrimPrefix(err.Error(), keys.ErrUsage.Error()+": "))
	}
	return name
}

// rule notes what a provider says about the options that a section became.
// Such an error begins with the name of a field, which is found by its key. It
// is left out where a problem of the section is noted already: a mistake makes
// a text empty, and that would be told as one more.
func (r reader) rule(s section, err error) {
	if err == nil || s.wrong || slices.ContainsFunc(r.list, func(p Problem) bool { return p.Path == s.path || strings.HasPrefix(p.Path, s.path+".") }) {
		return
	}
	text := strings.TrimPrefix(err.Error(), keys.ErrUsage.Error()+": ")
	for _, service := range []string{"AWS KMS: ", "Google Cloud KMS: "} {
		text = strings.TrimPrefix(text, service)
	}
	field, rest, _ := strings.Cut(text, " ")
	key, known := map[string]string{
		"Address": "address", "Namespace": "namespace", "Mount": "mount", "Key": "key", "Prefix": "prefix",
		"AppRole.Mount": "approle", "Kubernetes.Role": "kubernetes", "Kubernetes.Mount": "kubernetes",
		"Region": "region", "Endpoint": "endpoint", "KeyARN": "key", "KeyName": "key", "KeyRing": "key_ring", "DestructionDelay": "destruction_delay",
	}[field]
	n := s.values[key]
	switch {
	case !known:
		r.add(s.line, s.path, "%s", text)
	case n == nil:
		r.add(s.line, s.in(key), "%s", rest)
	case n.Kind == yaml.MappingNode: // one level down
		r.add(n.Line, s.in(key), "%s", strings.TrimPrefix(text, field[:strings.Index(field, ".")+1]))
	default:
		r.add(n.Line, s.in(key), "%s", rest)
	}
}

// text reads a text that may be left out; the empty one is nothing that a
// person would write.
func (r reader) text(s section, key string) string {
	n := s.values[key]
	text, ok := s.scalar(n, key, "!!str", "a text")
	switch {
	case !ok:
	case looksSecret(text):
		r.add(n.Line, s.in(key), "want no secret; secrets do not stand in this file")
	case text == "":
		r.add(n.Line, s.in(key), "the text is empty")
	case len(text) > maxText:
		r.add(n.Line, s.in(key), "the text is longer than %d bytes", maxText)
	case strings.ContainsFunc(text, unicode.IsControl):
		r.add(n.Line, s.in(key), "the text holds a control character")
	default:
		return text
	}
	return ""
}

// hex reads bytes in hexadecimal that may be left out.
func (r reader) hex(s section, key string) []byte {
	n := s.values[key]
	if n == nil {
		return nil
	}
	// Digits alone are a number to YAML, whose text is still as it was written.
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!int" && n.ShortTag() != "!!float" {
		r.add(n.Line, s.in(key), "want hexadecimal digits, found %s", kindOf(n))
		return nil
	}
	id, err := hex.DecodeString(n.Value)
	if err != nil || len(id) == 0 {
		r.add(n.Line, s.in(key), "want an even number of hexadecimal digits")
		return nil
	}
	return id
}
