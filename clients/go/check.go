package cloakroom

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
)

// Text that is not UTF-8 cannot be put into a message at all: gRPC would fail
// the whole call, with the neighbours of the value in it, and say only that some
// field is wrong. So it is refused here, by name.

func (r RecordInput) check() error {
	if !utf8.ValidString(r.SubjectID) {
		return invalidRequest("subject_id", "not UTF-8")
	}
	for _, name := range r.Fields.sortedNames() {
		if !utf8.ValidString(name) {
			return invalidRequest("fields", "the name of a field is not UTF-8")
		}
		for _, v := range r.Fields[name] {
			if err := v.check(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v Value) check(field string) error {
	if v.ref == nil || (*v.ref).binary || utf8.ValidString((*v.ref).text) {
		return nil
	}
	return &Error{
		Code: codes.InvalidArgument, Reason: "INVALID_VALUE", Field: field, Rule: "utf8",
		Message: fmt.Sprintf("the value of %s is not UTF-8", field),
	}
}

// checkAll returns the first error of many items, with its position.
func checkAll[T any](items []T, check func(T) error) error {
	for i, item := range items {
		if err := check(item); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}
