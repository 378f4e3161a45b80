package config

import (
	"time"

	"github.com/cloakroom-vault/cloakroom/keys/awskek"
	"github.com/cloakroom-vault/cloakroom/keys/gcpkek"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek"
)

// Provider says where a key-encryption key is; exactly one field is set.
type Provider struct {
	File       string // path of a key file of keys/filekek
	Credential string // name of a systemd credential with the text of such a file
	Passphrase *Passphrase
	Transit    *Transit
	AWS        *AWS
	GCP        *GCP
	PKCS11     *PKCS11
}

// Kind names the field that is set, as it stands in the file; empty when none
// is.
func (p *Provider) Kind() string {
	switch {
	case p.File != "":
		return "file"
	case p.Credential != "":
		return "credential"
	case p.Passphrase != nil:
		return "passphrase"
	case p.Transit != nil:
		return "transit"
	case p.AWS != nil:
		return "aws"
	case p.GCP != nil:
		return "gcp"
	case p.PKCS11 != nil:
		return "pkcs11"
	}
	return ""
}

// EpochProvider says where the keys of erasure epochs are; exactly one field
// is set.
type EpochProvider struct {
	Directory string // a directory of keys/filekek
	Transit   *Transit
	AWS       *AWS
	GCP       *GCP
	PKCS11    *PKCS11
}

// Kind names the field that is set, as it stands in the file; empty when none
// is.
func (p *EpochProvider) Kind() string {
	if p.Directory != "" {
		return "directory"
	}
	return (&Provider{Transit: p.Transit, AWS: p.AWS, GCP: p.GCP, PKCS11: p.PKCS11}).Kind()
}

// Passphrase is a passphrase file of keys/filekek and where the passphrase is:
// exactly one of FromFile and FromCredential is set.
type Passphrase struct {
	File           string
	FromFile       string // path of a file, mode 0600 or 0400
	FromCredential string // name of a systemd credential
}

// Transit is a key of a transit engine, or a prefix of keys; see
// keys/transitkek, whose defaults hold for what is empty.
type Transit struct {
	Address   string
	Namespace string
	Mount     string
	Key       string // of a KEK
	Prefix    string // of epochs
	CA        string // path of authorities in PEM; empty: the system's
	Timeout   time.Duration
	// Exactly one of these says who asks.
	TokenFile  string
	AppRole    *AppRole
	Kubernetes *Kubernetes
}

// AppRole logs in to Vault with two files.
type AppRole struct {
	RoleIDFile   string
	SecretIDFile string
	Mount        string
}

// Kubernetes logs in to Vault with the service account of the pod.
type Kubernetes struct {
	Role      string
	TokenFile string
	Mount     string
}

// Options returns what package transitkek opens.
func (t *Transit) Options() transitkek.Options {
	o := transitkek.Options{
		Address: t.Address, Namespace: t.Namespace, Mount: t.Mount, Key: t.Key, Prefix: t.Prefix,
		CAFile: t.CA, Timeout: t.Timeout, Auth: transitkek.Auth{TokenFile: t.TokenFile},
	}
	if r := t.AppRole; r != nil {
		o.Auth.AppRole = &transitkek.AppRole{RoleIDFile: r.RoleIDFile, SecretIDFile: r.SecretIDFile, Mount: r.Mount}
	}
	if k := t.Kubernetes; k != nil {
		o.Auth.Kubernetes = &transitkek.Kubernetes{Role: k.Role, TokenFile: k.TokenFile, Mount: k.Mount}
	}
	return o
}

// AWS is a key of AWS KMS, or a prefix of aliases; see keys/awskek, whose
// defaults hold for what is empty. Credentials are found by the SDK.
type AWS struct {
	Region   string
	Key      string // ARN, of a KEK
	Prefix   string // of epochs
	Endpoint string
	Profile  string
	Timeout  time.Duration
	// DestructionDelay is of epochs.
	DestructionDelay time.Duration
}

func (a *AWS) access() awskek.Access {
	return awskek.Access{Region: a.Region, Endpoint: a.Endpoint, Profile: a.Profile, Timeout: a.Timeout}
}

// Options returns what package awskek opens as a KEK.
func (a *AWS) Options() awskek.Options { return awskek.Options{KeyARN: a.Key, Access: a.access()} }

// EpochOptions returns what package awskek opens as epochs.
func (a *AWS) EpochOptions() awskek.EpochOptions {
	return awskek.EpochOptions{Prefix: a.Prefix, DestructionDelay: a.DestructionDelay, Access: a.access()}
}

// GCP is a key of Google Cloud KMS, or a key ring of epochs; see keys/gcpkek,
// whose defaults hold for what is empty.
type GCP struct {
	Key      string // of a KEK
	KeyRing  string // of epochs
	Endpoint string
	// CredentialsFile is a path; empty: what the SDK finds by itself.
	CredentialsFile string
	Timeout         time.Duration
	// DestructionDelay and HSM are of epochs.
	DestructionDelay time.Duration
	HSM              bool
}

func (g *GCP) access() gcpkek.Access {
	return gcpkek.Access{Endpoint: g.Endpoint, CredentialsFile: g.CredentialsFile, Timeout: g.Timeout}
}

// Options returns what package gcpkek opens as a KEK.
func (g *GCP) Options() gcpkek.Options { return gcpkek.Options{KeyName: g.Key, Access: g.access()} }

// EpochOptions returns what package gcpkek opens as epochs.
func (g *GCP) EpochOptions() gcpkek.EpochOptions {
	return gcpkek.EpochOptions{KeyRing: g.KeyRing, DestructionDelay: g.DestructionDelay, HSM: g.HSM, Access: g.access()}
}

// PKCS11 is a key in a token, or a prefix of keys there; see keys/pkcs11kek,
// whose defaults hold for what is empty.
type PKCS11 struct {
	Library  string // path of the vendor's library
	Token    string // label
	Serial   string
	PINFile  string
	ModuleIV bool
	Label    string // of a KEK's key; or ID, or both
	ID       []byte
	Prefix   string // of epochs
	Sessions int
	Timeout  time.Duration
}

// TokenConfig returns which token package pkcs11kek opens.
func (p *PKCS11) TokenConfig() pkcs11kek.Config {
	return pkcs11kek.Config{
		Library: p.Library, Token: p.Token, Serial: p.Serial, PINFile: p.PINFile,
		ModuleIV: p.ModuleIV, Sessions: p.Sessions, Timeout: p.Timeout,
	}
}

// Ref returns which key of the token is the KEK.
func (p *PKCS11) Ref() pkcs11kek.KeyRef { return pkcs11kek.KeyRef{Label: p.Label, ID: p.ID} }
