package transittest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Memory is an Engine whose keys are in memory. It answers as Vault does,
// for keys of type aes256-gcm96.
type Memory struct {
	// IgnoresData makes it leave out associated data, as Vault did before 1.12.
	IgnoresData bool

	mu   sync.Mutex
	keys map[string]*key
}

type key struct {
	kind                             string
	derived, exportable, backup      bool
	latest, minDec, minEnc, minAvail int
	versions                         map[int]cipher.AEAD
	deletionAllowed                  bool
}

// NewMemory returns an engine without keys.
func NewMemory() *Memory { return &Memory{keys: map[string]*key{}} }

// Has reports whether there is a key of that name.
func (m *Memory) Has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys[name] != nil
}

// Remove takes a key away as an operator could by force.
func (m *Memory) Remove(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, name)
}

// Do implements Engine.
func (m *Memory) Do(method, path string, body map[string]any) (int, any, []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	part := strings.Split(path, "/")
	if len(part) < 2 {
		return 404, "unsupported path", nil
	}
	k := m.keys[part[1]]
	switch {
	case path == "keys/"+part[1] && method == http.MethodGet:
		if k == nil {
			return 404, "", nil
		}
		return 200, k.state(part[1]), nil
	case method != http.MethodPost:
		return 405, "unsupported operation", nil
	case path == "keys/"+part[1]:
		if k != nil {
			return 200, k.state(part[1]), []string{"key " + part[1] + " already existed"}
		}
		return 200, m.create(part[1], body).state(part[1]), nil
	case path == "encrypt/"+part[1]:
		if k == nil {
			if kind := str(body["type"]); kind != "" && kind != "aes256-gcm96" {
				return 400, "key type not supported for this operation", nil
			}
			k = m.create(part[1], map[string]any{})
		}
		return m.encrypt(k, body)
	case k == nil:
		return 400, "encryption key not found", nil
	case path == "decrypt/"+part[1]:
		return m.decrypt(k, body)
	case part[0] == "keys" && len(part) == 3:
		return k.change(part[1], part[2], body)
	}
	return 404, "unsupported path", nil
}

func (m *Memory) create(name string, body map[string]any) *key {
	k := &key{kind: "aes256-gcm96", minDec: 1, versions: map[int]cipher.AEAD{}}
	if kind := str(body["type"]); kind != "" {
		k.kind = kind
	}
	k.derived, k.exportable, k.backup = body["derived"] == true, body["exportable"] == true, body["allow_plaintext_backup"] == true
	k.rotate()
	m.keys[name] = k
	return k
}

func (k *key) rotate() {
	var secret [32]byte
	_, _ = rand.Read(secret[:])
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // a 32-byte key is always accepted
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // the standard library's AES block is always accepted
	}
	k.latest++
	k.versions[k.latest] = gcm
}

func (k *key) state(name string) map[string]any {
	usable := map[string]int64{}
	for v := range k.versions {
		if v >= k.minDec {
			usable[strconv.Itoa(v)] = 1
		}
	}
	return map[string]any{
		"name": name, "type": k.kind, "derived": k.derived, "exportable": k.exportable, "allow_plaintext_backup": k.backup,
		"deletion_allowed": k.deletionAllowed, "latest_version": k.latest, "min_decryption_version": k.minDec,
		"min_encryption_version": k.minEnc, "min_available_version": k.minAvail, "keys": usable,
	}
}

func (k *key) change(name, verb string, body map[string]any) (int, any, []string) {
	switch verb {
	case "rotate":
		k.rotate()
	case "config":
		dec, enc := k.minDec, k.minEnc
		if n, ok := body["min_decryption_version"]; ok {
			dec = number(n)
		}
		if n, ok := body["min_encryption_version"]; ok {
			enc = number(n)
		}
		if dec < 1 || dec > k.latest || enc > k.latest || enc > 0 && enc < dec || k.minAvail > dec || k.minAvail > enc {
			return 400, "cannot set versions", nil
		}
		k.minDec, k.minEnc = dec, enc
		if on, ok := body["deletion_allowed"].(bool); ok {
			k.deletionAllowed = on
		}
	case "trim":
		n := number(body["min_available_version"])
		if n < 1 || n < k.minAvail || n > k.minEnc || n > k.minDec {
			return 400, "cannot set the minimum available version", nil
		}
		k.minAvail = n
		for v := range k.versions {
			if v < n {
				delete(k.versions, v)
			}
		}
	default:
		return 404, "unsupported path", nil
	}
	return 200, k.state(name), nil
}

func (m *Memory) encrypt(k *key, body map[string]any) (int, any, []string) {
	plain, err := base64.StdEncoding.DecodeString(str(body["plaintext"]))
	if _, has := body["plaintext"].(string); err != nil || !has {
		return 400, "missing plaintext to encrypt", nil
	}
	v := number(body["key_version"])
	if v == 0 {
		v = k.latest
	}
	if v < k.minEnc || v > k.latest || k.versions[v] == nil || k.derived || k.kind != "aes256-gcm96" {
		return 400, "requested version cannot be used", nil
	}
	ad, err := m.data(body)
	if err != nil {
		return 500, "1 error occurred", nil
	}
	sealed := k.versions[v].Seal(nil, nil, plain, ad)
	return 200, map[string]any{
		"ciphertext": fmt.Sprintf("vault:v%d:%s", v, base64.StdEncoding.EncodeToString(sealed)), "key_version": v,
	}, nil
}

func (m *Memory) decrypt(k *key, body map[string]any) (int, any, []string) {
	version, text, ok := strings.Cut(strings.TrimPrefix(str(body["ciphertext"]), "vault:v"), ":")
	v, err := strconv.Atoi(version)
	if !ok || err != nil {
		return 400, "invalid ciphertext: no prefix", nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || v > k.latest || v < k.minDec || k.versions[v] == nil {
		return 400, "invalid ciphertext", nil
	}
	ad, err := m.data(body)
	if err != nil {
		return 500, "1 error occurred", nil
	}
	plain, err := k.versions[v].Open(nil, nil, raw, ad)
	if err != nil {
		return 400, "cipher: message authentication failed", nil
	}
	return 200, map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)}, nil
}

func (m *Memory) data(body map[string]any) ([]byte, error) {
	if m.IgnoresData {
		return nil, nil
	}
	return base64.StdEncoding.DecodeString(str(body["associated_data"]))
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int {
	f, _ := v.(float64) // as encoding/json gives numbers
	return int(f)
}
