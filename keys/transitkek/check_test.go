package transitkek_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek"
)

func TestCheck(t *testing.T) {
	good := func() transitkek.Options {
		return transitkek.Options{Address: "https://vault.example.org:8200", Key: "k", Auth: transitkek.Auth{TokenFile: "/nowhere"}}
	}
	if err := good().Check(); err != nil {
		t.Errorf("good options, whose file is not looked at: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*transitkek.Options)
		field  string
	}{
		"neither key nor prefix": {func(o *transitkek.Options) { o.Key = "" }, "Key"},
		"key and prefix":         {func(o *transitkek.Options) { o.Prefix = "p" }, "Prefix"},
		"key with a slash":       {func(o *transitkek.Options) { o.Key = "a/b" }, "Key"},
		"prefix with a slash":    {func(o *transitkek.Options) { o.Key, o.Prefix = "", "a/b" }, "Prefix"},
		"address in clear":       {func(o *transitkek.Options) { o.Address = "http://vault.example.org" }, "Address"},
		"mount":                  {func(o *transitkek.Options) { o.Mount = "a//b" }, "Mount"},
		"namespace":              {func(o *transitkek.Options) { o.Namespace = "../a" }, "Namespace"},
		"timeout":                {func(o *transitkek.Options) { o.Timeout = -1 }, "Timeout"},
		"nobody":                 {func(o *transitkek.Options) { o.Auth = transitkek.Auth{} }, "Auth"},
		"half an AppRole":        {func(o *transitkek.Options) { o.Auth = transitkek.Auth{AppRole: &transitkek.AppRole{RoleIDFile: "a"}} }, "AppRole"},
		"no role":                {func(o *transitkek.Options) { o.Auth = transitkek.Auth{Kubernetes: &transitkek.Kubernetes{}} }, "Kubernetes.Role"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good()
			c.change(&o)
			if err := o.Check(); !errors.Is(err, keys.ErrUsage) || !strings.Contains(err.Error(), c.field) {
				t.Errorf("err = %v, want ErrUsage that names %s", err, c.field)
			}
		})
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, open, empty := file("private", "CANARY\n", 0o640), file("open", "CANARY\n", 0o644), file("empty", "", 0o600)
	for name, c := range map[string]struct {
		o    transitkek.Options
		says []string // nothing: it is good
	}{
		"token":             {o: transitkek.Options{Auth: transitkek.Auth{TokenFile: private}}},
		"open token":        {transitkek.Options{Auth: transitkek.Auth{TokenFile: open}}, []string{open}},
		"AppRole":           {o: transitkek.Options{Auth: transitkek.Auth{AppRole: &transitkek.AppRole{RoleIDFile: open, SecretIDFile: private}}}},
		"AppRole, both":     {transitkek.Options{Auth: transitkek.Auth{AppRole: &transitkek.AppRole{RoleIDFile: empty, SecretIDFile: open}}}, []string{empty, open}},
		"Kubernetes":        {o: transitkek.Options{Auth: transitkek.Auth{Kubernetes: &transitkek.Kubernetes{TokenFile: open}}}},
		"a CA that is none": {transitkek.Options{CAFile: open, Auth: transitkek.Auth{TokenFile: empty}}, []string{open, empty}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.o.CheckFiles()
			if (err == nil) != (len(c.says) == 0) {
				t.Fatalf("err = %v", err)
			}
			for _, path := range c.says {
				if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "CANARY") {
					t.Errorf("err = %v, want one that names %s and shows nothing of it", err, path)
				}
			}
		})
	}
}
