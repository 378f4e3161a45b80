package policy

import "strings"

// inCategory reports whether a rule's category pattern covers a category: the
// same key, or with a ".*" at the end any key below it.
func inCategory(pattern, category string) bool {
	if above, below := strings.CutSuffix(pattern, ".*"); below {
		return strings.HasPrefix(category, above+".")
	}
	return pattern != "" && pattern == category
}

// inFields reports whether an entry of a rule's fields covers a field.
func inFields(pattern, collection, field string) bool {
	return pattern == every || pattern == collection+".*" || pattern == collection+"."+field
}
