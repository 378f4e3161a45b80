package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// canaries are values that stand nowhere else, by field; the last is a value
// that is refused.
var canaries = map[string]string{
	"full_name": "Zephyrine Quillfeather", "email": "zephyrine.quill@canary-bird.example", "phone": "+4930998877665",
	"birth_date": "1931-02-17", "national_id": "QX77341908", "street": "Kanarienvogelallee 9931", "city": "Zwitscherhausen",
	"postal_code": "Q9Z-77KV", "iban": "DE89370400440532013000", "card_pan": "4929123412341232",
	"ip_address": "2001:db8:c4:9a7::e11", "favourite_category": "Birdcages and seeds",
}

const (
	canarySubject = "subject-zq-99317"
	wrongCard     = "4929123412341239"
	wrongEmail    = "zephyrine-at-canary-bird"
	newName       = "Zephyrine Starlingworth"
)

// TestCanaries takes seeded values through every call, with the log at its
// loudest, and wants to find them in no file and no line of the log, in no
// usual encoding: not while the vault serves, not after a kill, not after a
// stop, not after they were deleted.
func TestCanaries(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	configure(t, dir, "level: info", "level: debug")
	p := serve(t, dir)
	p.applyDemoPolicy()
	sought := needles(t, canarySubject, wrongCard, wrongEmail, newName)
	for _, value := range canaries {
		sought = append(sought, needles(t, value)...)
	}
	said := exercise(t, p)
	tokens := needlesRaw(said)
	wantNone(t, "while serving", p, append(sought, tokens...))
	p.kill()
	wantNone(t, "after a kill", p, append(sought, tokens...))
	p = serve(t, dir)
	if _, err := p.as("shop").Delete(t.Context(), customers, canarySubject); err != nil {
		t.Fatal(err)
	}
	p.stop()
	wantNone(t, "after the deletion", p, append(sought, tokens...))
}

// exercise makes calls of every kind, refused ones too, and returns the tokens
// that it got.
func exercise(t *testing.T, p *process) []string {
	t.Helper()
	ctx := t.Context()
	shop, billing := p.as("shop"), p.as("billing")
	fields := cloakroom.Fields{}
	for field, value := range canaries {
		fields[field] = cloakroom.Texts(value)
	}
	put, err := shop.Put(ctx, customers, cloakroom.RecordInput{SubjectID: canarySubject, Fields: fields}, cloakroom.RequestID("canary-1"))
	check(t, err)
	var tokens []string
	for _, f := range put.Record.Fields {
		tokens = append(tokens, f.Tokens...)
	}
	refuse := func(err error) {
		t.Helper()
		if err == nil {
			t.Error("a wrong value or call was accepted")
			return
		}
		for _, value := range []string{wrongCard, wrongEmail, canarySubject, tokens[0]} {
			if strings.Contains(err.Error(), value) {
				t.Errorf("an error repeats what was given: %v", err)
			}
		}
	}
	one := func(field, value string) cloakroom.RecordInput {
		return cloakroom.RecordInput{SubjectID: canarySubject, Fields: cloakroom.Fields{field: cloakroom.Texts(value)}}
	}
	_, err = shop.Put(ctx, customers, one("card_pan", wrongCard))
	refuse(err)
	_, err = shop.Put(ctx, customers, one("email", canaries["email"]))
	refuse(err) // it is there
	_, err = shop.Put(ctx, customers, one("email", wrongEmail), cloakroom.RequestID("canary-1"))
	refuse(err)
	_, err = shop.Put(ctx, customers, one(wrongEmail, "x"))
	refuse(err) // a value in the place of a field
	_, err = shop.Update(ctx, customers, one("full_name", newName))
	check(t, err)
	_, err = shop.TokenizeOne(ctx, customers, "card_pan", canarySubject, cloakroom.Text("4111111111111111"))
	refuse(err)
	_, err = billing.Detokenize(ctx, tokens, "payment", cloakroom.Reason("ticket-1"))
	check(t, err)
	_, err = billing.Detokenize(ctx, tokens, canaries["full_name"])
	refuse(err) // a value in the place of a purpose
	_, err = billing.Detokenize(ctx, tokens, "payment", cloakroom.Reason(wrongEmail+"@"))
	refuse(err)
	_, err = billing.ReadRecord(ctx, customers, canarySubject, "payment")
	check(t, err)
	_, err = p.as("stranger").ReadRecord(ctx, customers, canarySubject, "payment")
	refuse(err)
	_, err = shop.Describe(ctx, tokens)
	check(t, err)
	_, err = shop.Get(ctx, canarySubject, canarySubject)
	refuse(err)
	_, err = p.as("admin").ApplyPolicy(ctx, []byte("version: 1\nroles: ["+wrongCard+"]\n"))
	refuse(err)
	return tokens
}

// needles are the forms in which a value could stand somewhere.
func needles(t *testing.T, values ...string) [][]byte {
	t.Helper()
	var out [][]byte
	for _, v := range values {
		if len(v) < 8 {
			t.Fatal("a canary is too short to be sure of")
		}
		for _, form := range []string{v, strings.ToLower(v), strings.ToUpper(v), strings.ReplaceAll(v, " ", "")} {
			out = append(out, []byte(form), []byte(hex.EncodeToString([]byte(form))), []byte(base64.StdEncoding.EncodeToString([]byte(form))[:len(form)]))
		}
	}
	return out
}

func needlesRaw(texts []string) [][]byte {
	var out [][]byte
	for _, text := range texts {
		out = append(out, []byte(text))
	}
	return out
}

// wantNone looks into every file of the vault and all that the daemon said.
func wantNone(t *testing.T, when string, p *process, sought [][]byte) {
	t.Helper()
	files := 0
	look := func(name string, content []byte) {
		files++
		for _, needle := range sought {
			if bytes.Contains(content, needle) {
				t.Errorf("%s: %q stands in %s", when, needle, name)
			}
		}
	}
	root := os.DirFS(p.dir)
	check(t, fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != "." {
			return nil // a part of the audit log that a longer one replaced meanwhile
		}
		if err != nil || d.IsDir() || d.Type() == fs.ModeSocket { // a socket holds nothing
			return err
		}
		content, err := fs.ReadFile(root, path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		look(path, content)
		return err
	}))
	look("the log", []byte(p.log.String()))
	if files < 10 || !strings.Contains(p.log.String(), "level=") {
		t.Errorf("%d files were looked into, and the log says %q", files, p.log)
	}
}
