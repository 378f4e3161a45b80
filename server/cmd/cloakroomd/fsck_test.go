package main_test

import (
	"bufio"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func fsck(t *testing.T, dir string, more ...string) result {
	t.Helper()
	return run(t, nil, daemonPath, append([]string{"fsck", "-c", conf(dir)}, more...)...)
}

// says wants texts in what a command wrote to its output.
func (r result) says(t *testing.T, texts ...string) result {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.out, text) {
			t.Errorf("the command does not say %q:\n%s%s", text, r.out, r.errors)
		}
	}
	return r
}

// peopled makes a vault with a number of persons, and leaves it served.
func peopled(t *testing.T, n int) *process {
	t.Helper()
	p := serve(t, initVault(t))
	p.applyDemoPolicy()
	shop := p.as("shop")
	for first := 0; first < n; first += 500 {
		var all []cloakroom.RecordInput
		for i := first; i < min(n, first+500); i++ {
			all = append(all, cloakroom.RecordInput{SubjectID: "person-" + cardNumber(i), Fields: cloakroom.Fields{"card_pan": cloakroom.Texts(cardNumber(i))}})
		}
		if _, err := shop.PutMany(t.Context(), customers, all); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// unlist takes the members of all collections away, and returns how many there
// were.
func unlist(t *testing.T, dir string) int {
	t.Helper()
	node := openNode(t, dir)
	defer closeNode(t, node)
	s := node.Values
	n := 0
	for {
		page, err := s.Scan(t.Context(), rows.Members, []byte{0}, nil, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return n
		}
		var b store.Batch
		for _, r := range page {
			b.Delete(rows.Members, r.Key)
		}
		if err := s.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		n += len(page)
	}
}

// openNode opens a stopped vault in this process.
func openNode(t *testing.T, dir string) *daemon.Node {
	t.Helper()
	c, err := config.Load(conf(dir))
	if err != nil {
		t.Fatal(err)
	}
	n, err := daemon.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func closeNode(t *testing.T, n *daemon.Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFsck(t *testing.T) {
	t.Parallel()
	p := peopled(t, 30)
	dir := p.dir
	fsck(t, dir, "--deep").want(t, 0).says(t, "the vault is sound", "the daemon that serves it", "persons         30,")
	p.stop()
	fsck(t, dir, "--deep").want(t, 0).says(t, "the vault is sound", "nobody serves the vault", "persons         30,")

	n := unlist(t, dir)
	if n != 30 {
		t.Fatalf("%d members were there", n)
	}
	r := fsck(t, dir).want(t, 1).says(t, "the vault is not sound", "member_missing", "faults          30, of them repaired 0")
	if strings.Contains(r.out+r.errors, "person-") || strings.Contains(r.out+r.errors, cardNumber(3)) {
		t.Errorf("an id or a value is told:\n%s%s", r.out, r.errors)
	}
	// A daemon repairs as well, and the log says who asked.
	p = serve(t, dir)
	fsck(t, dir, "--repair", "--rows-only").want(t, 0).says(t, "the daemon that serves it", "faults          30, of them repaired 30", "; repaired")
	fsck(t, dir).want(t, 0).says(t, "faults          0")
	p.stop()
	// The index can be made again, and so it is thrown away.
	index := filepath.Join(dir, "data", "index.db")
	if _, err := os.Stat(index); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(index, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	fsck(t, dir).want(t, 1).says(t, "index_damaged")
	fsck(t, dir, "--repair").want(t, 0).says(t, "index_damaged", "; repaired")
	if _, err := os.Stat(index); err == nil {
		t.Error("the damaged index is there")
	}
	p = serve(t, dir)
	fsck(t, dir).want(t, 0)
	p.stop()
	run(t, nil, daemonPath, "audit", "verify", "--deep", "--config", conf(dir)).want(t, 0)
}

func TestFsckMistakes(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	run(t, nil, daemonPath, "fsck").want(t, 2)
	fsck(t, dir, "--mend").want(t, 2)
	fsck(t, dir, "more").want(t, 2)
	run(t, nil, daemonPath, "fsck", "-c", filepath.Join(dir, "none.yaml")).want(t, 1)

	// In use, and nobody at the socket.
	node := openNode(t, dir)
	if err := os.Remove(filepath.Join(dir, "data", daemon.ControlName)); err != nil {
		t.Fatal(err)
	}
	r := fsck(t, dir).want(t, 1)
	_ = node.Close() // it does not find its socket
	if !strings.Contains(r.errors, "in use by another process") {
		t.Errorf("a directory in use: %s", r.errors)
	}
	if err := os.Rename(filepath.Join(dir, "data", "keys.db"), filepath.Join(dir, "data", "gone.db")); err != nil {
		t.Fatal(err)
	}
	if r := fsck(t, dir).want(t, 1); !strings.Contains(r.errors, "keys.db is missing") {
		t.Errorf("a store is missing: %s", r.errors)
	}
	if err := os.Rename(filepath.Join(dir, "data", "gone.db"), filepath.Join(dir, "data", "keys.db")); err != nil {
		t.Fatal(err)
	}
	fsck(t, dir).want(t, 0)
}

// A repair that is killed left each line as it was or as it should be, and the
// next one does the rest.
func TestFsckKilled(t *testing.T) {
	t.Parallel()
	p := peopled(t, 1500)
	dir := p.dir
	p.stop()
	if n := unlist(t, dir); n != 1500 {
		t.Fatalf("%d members were there", n)
	}
	c := exec.Command(daemonPath, "fsck", "-c", conf(dir), "--repair")
	c.Env = cleanEnv()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 10 {
		if !lines.Scan() {
			t.Fatal("it told less than ten repairs")
		}
	}
	_ = c.Process.Kill()
	_ = c.Wait() // it was killed
	fsck(t, dir, "--repair").want(t, 0).says(t, "member_missing")
	fsck(t, dir, "--deep").want(t, 0).says(t, "and 1500 lines in collections")
	p = serve(t, dir)
	defer p.stop()
	fsck(t, dir, "--deep").want(t, 0).says(t, "faults          0")
}
