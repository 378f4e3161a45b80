package awskek_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"
)

// cmk is a key of the service.
type cmk struct {
	arn, description, state string
	tags                    map[string]string
	window                  int
	gcm                     cipher.AEAD
}

const account = "111122223333"

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// newKey makes a key; the caller holds the mutex.
func (s *trent) newKey() *cmk {
	block, err := aes.NewCipher(random(32))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	h := hex.EncodeToString(random(16))
	id := fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
	k := &cmk{arn: "arn:aws:kms:" + region + ":" + account + ":key/" + id, state: "Enabled", gcm: gcm, tags: map[string]string{}}
	s.keys[k.arn] = k
	return k
}

// key makes a key and returns its ARN.
func (s *trent) key() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newKey().arn
}

// finish ends all waiting windows: the keys go, and their aliases with them.
func (s *trent) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.keys, func(_ string, k *cmk) bool { return k.state == "PendingDeletion" })
	maps.DeleteFunc(s.aliases, func(_, arn string) bool { return s.keys[arn] == nil })
}

// find resolves what a caller may write for a key.
func (s *trent) find(id string) *cmk {
	if arn, ok := s.aliases[id]; ok {
		return s.keys[arn]
	}
	if k := s.keys[id]; k != nil {
		return k
	}
	return s.keys["arn:aws:kms:"+region+":"+account+":key/"+id]
}

// usable is the code for a key that does not encipher now.
func usable(k *cmk) string {
	switch {
	case k == nil:
		return "NotFoundException"
	case k.state == "Disabled":
		return "DisabledException"
	case k.state != "Enabled":
		return "KMSInvalidStateException"
	}
	return ""
}

type request struct {
	KeyID               string            `json:"KeyId"`
	Plaintext           []byte            `json:"Plaintext"`
	CiphertextBlob      []byte            `json:"CiphertextBlob"`
	EncryptionContext   map[string]string `json:"EncryptionContext"`
	Description         string            `json:"Description"`
	KeySpec             string            `json:"KeySpec"`
	KeyUsage            string            `json:"KeyUsage"`
	MultiRegion         bool              `json:"MultiRegion"`
	Policy              string            `json:"Policy"`
	AliasName           string            `json:"AliasName"`
	TargetKeyID         string            `json:"TargetKeyId"`
	PendingWindowInDays int               `json:"PendingWindowInDays"`
	Tags                []struct{ TagKey, TagValue string }
}

var aliasName = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

func (s *trent) do(op string, body []byte) (out map[string]any, code string) {
	var in request
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(&in) != nil {
		return nil, "SerializationException"
	}
	switch op {
	case "Encrypt":
		return s.encrypt(in)
	case "Decrypt":
		return s.decrypt(in)
	case "DescribeKey":
		k := s.find(in.KeyID)
		if k == nil {
			return nil, "NotFoundException"
		}
		return map[string]any{"KeyMetadata": k.metadata()}, ""
	case "CreateKey":
		return s.createKey(in)
	case "CreateAlias":
		return s.createAlias(in)
	case "ScheduleKeyDeletion":
		return s.scheduleKeyDeletion(in)
	}
	return nil, "UnknownOperationException"
}

func (k *cmk) metadata() map[string]any {
	return map[string]any{"KeyId": k.arn[strings.LastIndex(k.arn, "/")+1:], "Arn": k.arn, "Description": k.description, "KeyState": k.state}
}

// contextBytes is the encryption context in one fixed order.
func contextBytes(in request) []byte {
	b, err := json.Marshal(in.EncryptionContext) // maps in the order of their keys
	if err != nil {
		panic(err)
	}
	return b
}

func (s *trent) encrypt(in request) (map[string]any, string) {
	k := s.find(in.KeyID)
	switch code := usable(k); {
	case code != "":
		return nil, code
	case len(in.Plaintext) < 1 || len(in.Plaintext) > 4096 || len(contextBytes(in)) > 8192:
		return nil, "ValidationException"
	}
	id, err := hex.DecodeString(strings.ReplaceAll(k.arn[strings.LastIndex(k.arn, "/")+1:], "-", ""))
	if err != nil {
		panic(err)
	}
	blob := k.gcm.Seal(id, nil, in.Plaintext, contextBytes(in))
	return map[string]any{"CiphertextBlob": blob, "KeyId": k.arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, ""
}

func (s *trent) decrypt(in request) (map[string]any, string) {
	if n := len(in.CiphertextBlob); n < 1 || n > 6144 {
		return nil, "ValidationException"
	}
	if len(in.CiphertextBlob) < 16 {
		return nil, "InvalidCiphertextException"
	}
	h := hex.EncodeToString(in.CiphertextBlob[:16])
	k := s.find(fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:]))
	named := s.find(in.KeyID)
	switch {
	case named == nil && in.KeyID != "":
		return nil, "NotFoundException"
	case k == nil:
		return nil, "InvalidCiphertextException"
	case in.KeyID != "" && named != k:
		return nil, "IncorrectKeyException"
	}
	if code := usable(k); code != "" {
		return nil, code
	}
	plaintext, err := k.gcm.Open(nil, nil, in.CiphertextBlob[16:], contextBytes(in))
	if err != nil {
		return nil, "InvalidCiphertextException"
	}
	return map[string]any{"Plaintext": plaintext, "KeyId": k.arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, ""
}

func (s *trent) createKey(in request) (map[string]any, string) {
	if in.KeySpec != "SYMMETRIC_DEFAULT" || in.KeyUsage != "ENCRYPT_DECRYPT" || in.MultiRegion {
		return nil, "UnsupportedOperationException"
	}
	k := s.newKey()
	k.description = in.Description
	for _, tag := range in.Tags {
		k.tags[tag.TagKey] = tag.TagValue
	}
	if in.Policy != "" {
		k.tags["(policy)"] = in.Policy
	}
	return map[string]any{"KeyMetadata": k.metadata()}, ""
}

func (s *trent) createAlias(in request) (map[string]any, string) {
	k := s.keys[in.TargetKeyID]
	on := 0
	for _, arn := range s.aliases {
		if arn == in.TargetKeyID {
			on++
		}
	}
	switch _, taken := s.aliases[in.AliasName]; {
	case !aliasName.MatchString(in.AliasName) || strings.HasPrefix(in.AliasName, "alias/aws"):
		return nil, "InvalidAliasNameException"
	case taken:
		return nil, "AlreadyExistsException"
	case k == nil:
		return nil, "NotFoundException"
	case k.state == "PendingDeletion":
		return nil, "KMSInvalidStateException"
	case on >= 50:
		return nil, "LimitExceededException"
	}
	s.aliases[in.AliasName] = k.arn
	return map[string]any{}, ""
}

func (s *trent) scheduleKeyDeletion(in request) (map[string]any, string) {
	k := s.keys[in.KeyID] // an alias is not taken
	switch {
	case k == nil:
		return nil, "NotFoundException"
	case in.PendingWindowInDays < 7 || in.PendingWindowInDays > 30:
		return nil, "ValidationException"
	case k.state == "PendingDeletion":
		return nil, "KMSInvalidStateException"
	}
	k.state, k.window = "PendingDeletion", in.PendingWindowInDays
	return map[string]any{"KeyId": k.arn, "KeyState": k.state, "PendingWindowInDays": k.window,
		"DeletionDate": float64(time.Now().AddDate(0, 0, k.window).Unix())}, ""
}
