package house_test

import (
	"fmt"
	"slices"
	"strings"
)

// may says which folders of the project a folder imports, itself and what is
// below it aside. The longest entry that fits a file's folder counts; tests
// are held to it too. A folder without an entry imports nothing.
var may = map[string][]string{
	"proto":  {},
	"keys":   {},
	"vault":  {"keys"},
	"server": {"vault", "keys", "proto"},
	// What shows and measures the whole does so the way a user does.
	"server/demo":  {"server", "vault", "keys", "proto", "clients/go"},
	"server/bench": {"server", "vault", "keys", "proto", "clients/go"},
	"server/cmd":   {"server", "vault", "keys", "proto", "clients/go"},
	"clients":      {"proto"},
	// Runs a real vault in a user's test.
	"clients/go/cloakroomtest": {"clients/go", "proto", "server", "vault", "keys"},
}

// testsMay says what the tests of a folder import besides. The server is tested
// as a user's program would test against it: a vault in memory, over mTLS.
var testsMay = map[string][]string{
	"server": {"clients/go/cloakroomtest"},
}

// houses are the folders within which packages import each other freely.
var houses = []string{"proto", "keys", "vault", "server", "clients"}

// only says where a module of others may be used. Nested modules are free.
var only = map[string][]string{
	"go.etcd.io/bbolt":            {"vault/boltstore"},
	"github.com/cloudflare/circl": {"keys/recovery"},
	"github.com/jackc/pgx":        {"vault/pgstore"},
	"github.com/tink-crypto":      {"keys", "vault/seal"},
	"github.com/google/tink":      {"keys", "vault/seal"},
	// The status codes of a cloud's key service say which error it is.
	"google.golang.org/grpc":     {"proto", "server", "clients", "keys/gcpkek"},
	"google.golang.org/genproto": {"proto", "server", "clients"},
	// Each of the two is of one package, so that the rest does without.
	"github.com/prometheus": {"server/metrics"},
	"go.opentelemetry.io":   {"server/sink/otlp"},
	// A cloud's own client, in the one provider that is about it.
	"github.com/aws":        {"keys/awskek"},
	"cloud.google.com":      {"keys/gcpkek"},
	"github.com/googleapis": {"keys/gcpkek"},
	"google.golang.org/api": {"keys/gcpkek"},
	// Tink's own tests speak of keysets in its messages.
	"google.golang.org/protobuf": {"proto", "server", "clients", "keys"},
}

// importTable: keys ← vault ← server ← cmd, proto ← server, proto ← clients.
func importTable(t *tree) (found []violation) {
	for _, s := range t.files {
		if s.nested {
			continue
		}
		allowed := may[longest(s.dir)]
		if s.test {
			allowed = append(slices.Clone(allowed), testsMay[longest(s.dir)]...)
		}
		for _, i := range s.imports {
			if dir, ok := i.project(); ok && !sameHouse(s.dir, dir) && !underAny(dir, allowed) {
				found = append(found, violation{fmt.Sprintf("%s:%d", s.path, i.line), s.dir + " may not import " + dir})
			}
		}
	}
	return found
}

// longest returns the entry of may for a folder.
func longest(dir string) (entry string) {
	for prefix := range may {
		if under(dir, prefix) && len(prefix) > len(entry) {
			entry = prefix
		}
	}
	return entry
}

// sameHouse reports whether both folders stand in one top-level folder.
func sameHouse(a, b string) bool {
	return slices.ContainsFunc(houses, func(top string) bool { return under(a, top) && under(b, top) })
}

// modulesOfOthers: each dangerous or heavy module has its few places.
func modulesOfOthers(t *tree) (found []violation) {
	for _, s := range t.files {
		if s.nested {
			continue
		}
		for _, i := range s.imports {
			for prefix, places := range only {
				if under(i.path, prefix) && !underAny(s.dir, places) {
					found = append(found, violation{fmt.Sprintf("%s:%d", s.path, i.line), s.dir + " may not import " + i.path})
				}
			}
		}
	}
	return found
}

// storeIsPlain: vault/store is the contract that any engine can meet; it
// imports nothing but the standard library.
func storeIsPlain(t *tree) (found []violation) {
	for _, s := range t.files {
		if s.dir != "vault/store" || s.test {
			continue
		}
		for _, i := range s.imports {
			if first, _, _ := strings.Cut(i.path, "/"); strings.Contains(first, ".") {
				found = append(found, violation{fmt.Sprintf("%s:%d", s.path, i.line), "vault/store may not import " + i.path})
			}
		}
	}
	return found
}

// testingStaysOut: code that is shipped neither imports testing nor a package
// made for tests.
func testingStaysOut(t *tree) (found []violation) {
	for _, s := range t.files {
		if s.test || s.nested || forTests(s.dir) {
			continue
		}
		for _, i := range s.imports {
			dir, ok := i.project()
			if under(i.path, "testing") || ok && forTests(dir) {
				found = append(found, violation{fmt.Sprintf("%s:%d", s.path, i.line), "shipped code may not import " + i.path})
			}
		}
	}
	return found
}

// commandLineIsLight: what the command line links reaches neither the data
// nor the keys.
func commandLineIsLight(t *tree) (found []violation) {
	const start = "clients/cmd/cloakroom"
	byDir := map[string][]*source{}
	for _, s := range t.files {
		if !s.test && !s.nested {
			byDir[s.dir] = append(byDir[s.dir], s)
		}
	}
	from := map[string]string{start: ""} // folder -> who imports it
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		for _, s := range byDir[queue[0]] {
			for _, i := range s.imports {
				dir, ok := i.project()
				heavy := ok && underAny(dir, []string{"vault", "keys", "server"}) ||
					underAny(i.path, []string{"go.etcd.io/bbolt", "github.com/tink-crypto", "github.com/google/tink"})
				if heavy {
					chain := queue[0]
					for d := from[queue[0]]; d != ""; d = from[d] {
						chain = d + " → " + chain
					}
					found = append(found, violation{fmt.Sprintf("%s:%d", s.path, i.line), "the command line links " + i.path + " by " + chain})
				}
				if _, seen := from[dir]; ok && !seen && !heavy {
					from[dir] = queue[0]
					queue = append(queue, dir)
				}
			}
		}
	}
	return found
}
