package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// grpcurl returns the path of the program: CLOAKROOM_GRPCURL, or what PATH has.
// Without it there is nothing to drive; where CLOAKROOM_REQUIRE_TOOLS=1 is set,
// as in CI, that is a failure.
func grpcurl(t *testing.T) (path string, ok bool) {
	t.Helper()
	path = os.Getenv("CLOAKROOM_GRPCURL")
	if path == "" {
		path, _ = exec.LookPath("grpcurl")
	}
	if path == "" && os.Getenv("CLOAKROOM_REQUIRE_TOOLS") == "1" {
		t.Fatal("grpcurl is required and not there")
	}
	return path, path != ""
}

// TestOtherPrograms drives the daemon with a gRPC program that knows nothing of
// Cloakroom, by reflection, as somebody who writes a client of his own would.
func TestOtherPrograms(t *testing.T) {
	t.Parallel()
	program, ok := grpcurl(t)
	if !ok {
		t.Log("grpcurl is not here: nothing was checked")
		return
	}
	dir := initVault(t)
	configure(t, dir, "reflection: false", "reflection: true")
	p := serve(t, dir)
	p.applyDemoPolicy()
	token := storeCard(t, p, "ada")
	call := func(who, data string, target ...string) result {
		certs := filepath.Join(dir, "certs")
		args := []string{
			"-cacert", filepath.Join(certs, "ca.crt"), "-cert", filepath.Join(certs, who+".crt"), "-key", filepath.Join(certs, who+".key"),
		}
		if data != "" {
			args = append(args, "-d", data)
		}
		return run(t, nil, program, append(append(args, p.address), target...)...)
	}
	for _, c := range []struct {
		name, who, data string
		target          []string
		code            int
		says            string
	}{
		{"list", "stranger", "", []string{"list"}, 0, "cloakroom.v1.RevealService"},
		{"describe", "stranger", "", []string{"describe", "cloakroom.v1.DetokenizeRequest"}, 0, "purpose"},
		{"health", "stranger", "", []string{"grpc.health.v1.Health/Check"}, 0, "SERVING"},
		{"reveal", "billing", `{"tokens": ["` + token + `"], "purpose": "payment"}`, []string{"cloakroom.v1.RevealService/Detokenize"}, 0, card},
		{"stream", "billing", `{"sequence": 7, "tokens": ["` + token + `"], "purpose": "payment"}`, []string{"cloakroom.v1.RevealService/DetokenizeStream"}, 0, card},
		{"refused", "shop", `{"tokens": ["` + token + `"], "purpose": "payment"}`, []string{"cloakroom.v1.RevealService/Detokenize"}, 64 + 7, "ACTION_DENIED"},
	} {
		r := call(c.who, c.data, c.target...)
		if all := r.out + r.errors; r.code != c.code || !strings.Contains(all, c.says) {
			t.Errorf("%s: exit code %d, want %d, saying %q:\n%s", c.name, r.code, c.code, c.says, all)
		}
	}
	run(t, nil, program, "-plaintext", "-max-time", "5", p.address, "list").want(t, 1)
	p.stop()
}
