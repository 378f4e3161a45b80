package house_test

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const maxLines = 500

// noInit: what runs before main cannot be ordered, configured or tested.
func noInit(t *tree) (found []violation) {
	for _, s := range t.files {
		if s.generated {
			continue
		}
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				found = append(found, violation{t.at(f), "a func init"})
			}
		}
	}
	return found
}

// noSleep: a test that sleeps is slow when it passes and fails on a busy day.
func noSleep(t *tree) (found []violation) {
	for _, s := range t.files {
		if s.test || forTests(s.dir) {
			found = append(found, t.calls(s, "time", "Sleep")...)
		}
	}
	return found
}

// noExit: below main nobody ends the process, so that what is open is closed.
func noExit(t *tree) (found []violation) {
	for _, s := range t.files {
		if s.ast.Name.Name == "main" || s.test || s.generated {
			continue
		}
		found = append(found, t.calls(s, "os", "Exit")...)
		for _, name := range []string{"Fatal", "Fatalf", "Fatalln"} {
			found = append(found, t.calls(s, "log", name)...)
		}
	}
	return found
}

// calls finds uses of a function of another package, whatever name the
// package was imported under.
func (t *tree) calls(s *source, pkg, function string) (found []violation) {
	local := ""
	for _, spec := range s.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && p == pkg {
			local = path.Base(p)
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	if local == "." {
		return []violation{{s.path, "imports " + pkg + " into its own names"}}
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == function {
			if x, ok := sel.X.(*ast.Ident); ok && local != "" && x.Name == local {
				found = append(found, violation{t.at(n), pkg + "." + function})
			}
		}
		return true
	})
	return found
}

// noSkip: a test that does not run proves nothing and says so to nobody.
func noSkip(t *tree) (found []violation) {
	for _, s := range t.files {
		if !slices.ContainsFunc(s.imports, func(i imported) bool { return i.path == "testing" }) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
					found = append(found, violation{t.at(n), "a test that can be skipped"})
				}
			}
			return true
		})
	}
	return found
}

// shortFiles: one concern a file.
func shortFiles(t *tree) (found []violation) {
	for _, s := range t.files {
		if !s.generated && s.lines > maxLines {
			found = append(found, violation{s.path, fmt.Sprintf("%d lines, at most %d", s.lines, maxLines)})
		}
	}
	return found
}

// documented: every package says what it is for.
func documented(t *tree) (found []violation) {
	docs := map[string]bool{} // folder -> has a comment
	for _, s := range t.files {
		if s.test {
			continue
		}
		text := s.ast.Doc.Text()
		good := strings.HasPrefix(text, "Package "+s.ast.Name.Name+" ") || s.ast.Name.Name == "main" && text != ""
		docs[s.dir] = docs[s.dir] || good || s.generated
	}
	for dir, good := range docs {
		if !good {
			found = append(found, violation{dir, "the package has no comment that begins with its name"})
		}
	}
	return found
}

var unfinished = regexp.MustCompile(`\b(TODO|FIXME)\b`)

// finished: what is not done is said in the documents, or is done.
func finished(t *tree) (found []violation) {
	for _, s := range t.files {
		for _, group := range s.ast.Comments {
			for _, c := range group.List {
				if mark := unfinished.FindString(c.Text); mark != "" && !s.generated {
					found = append(found, violation{t.at(c), "a " + mark})
				}
			}
		}
	}
	for _, o := range t.other {
		if mark := unfinished.FindString(o.content); mark != "" {
			found = append(found, violation{o.path, "a " + mark})
		}
	}
	return found
}

// nouns: a package is named for what it is about.
func nouns(t *tree) (found []violation) {
	empty := []string{"util", "utils", "common", "helper", "helpers", "shared", "misc", "internal", "lib"}
	seen := map[string]bool{}
	for _, s := range t.files {
		for _, part := range strings.Split(s.dir, "/") {
			if slices.Contains(empty, part) && !seen[s.dir] {
				seen[s.dir] = true
				found = append(found, violation{s.dir, "a package named " + part + " says nothing"})
			}
		}
	}
	return found
}

// topLevel: the first sight of the project is its four parts and the client
// side, and nothing else. The README is not asked for, only allowed.
func topLevel(t *tree) (found []violation) {
	must := []string{"LICENSE", "buf.yaml", "clients", "go.mod", "go.sum", "keys", "proto", "server", "vault"}
	missing := slices.Clone(must)
	for _, e := range t.top {
		name := e.Name()
		missing = slices.DeleteFunc(missing, func(m string) bool { return m == name })
		if !slices.Contains(must, name) && name != "README.md" && name[0] != '.' && !t.isIgnored(name) {
			found = append(found, violation{name, "does not belong at the top level"})
		}
	}
	for _, name := range missing {
		found = append(found, violation{name, "is missing at the top level"})
	}
	return found
}
