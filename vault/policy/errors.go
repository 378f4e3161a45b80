package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrRegistry: stored numbers of names are damaged or of an unknown format.
	ErrRegistry = errors.New("the registry of names is damaged")
	// ErrUnregistered: Compile was given a registry that does not hold the
	// names of the document.
	ErrUnregistered = errors.New("the registry does not belong to this policy")
	// ErrVersion: version 0 belongs to the bootstrap policy.
	ErrVersion = errors.New("a policy document has a version of 1 or more")
	// ErrPrincipal: a text is no principal id.
	ErrPrincipal = errors.New("not a principal id")
)

// Problem is one mistake of a policy document.
type Problem struct {
	// Line of the document, counted from 1.
	Line int
	// Path of the place, such as "collections[0].fields[3].purposes"; empty
	// for the document as a whole.
	Path string
	// Message says what is wrong, in one sentence without a full stop. It
	// quotes names, never texts, patterns or other free input.
	Message string
}

// String returns "line 4: path: message".
func (p Problem) String() string {
	if p.Path == "" {
		return fmt.Sprintf("line %d: %s", p.Line, p.Message)
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, p.Path, p.Message)
}

// Problems is the error for a document with mistakes: at least one, in the
// order of the document.
type Problems []Problem

// Error lists every problem on a line of its own.
func (p Problems) Error() string {
	var b strings.Builder
	if len(p) == 1 {
		b.WriteString("the policy has a mistake:")
	} else {
		fmt.Fprintf(&b, "the policy has %d mistakes:", len(p))
	}
	for _, one := range p {
		b.WriteString("\n  ")
		b.WriteString(one.String())
	}
	return b.String()
}

// maxProblems bounds the list; a document with more is some other kind of file.
const maxProblems = 500

// findings collects problems while a document is read.
type findings struct {
	list Problems
	more int
}

func (f *findings) add(line int, path, format string, args ...any) {
	if len(f.list) >= maxProblems {
		f.more++
		return
	}
	f.list = append(f.list, Problem{Line: line, Path: path, Message: fmt.Sprintf(format, args...)})
}

func (f *findings) none() bool { return len(f.list) == 0 }

// err returns the problems in the order of their lines, or nil.
func (f *findings) err() error {
	if f.none() {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Problem) int { return a.Line - b.Line })
	if f.more > 0 {
		last := f.list[len(f.list)-1].Line
		f.list = append(f.list, Problem{Line: last, Message: fmt.Sprintf("and %d more mistakes", f.more)})
	}
	return f.list
}
