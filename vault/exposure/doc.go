// Package exposure answers the first question after an incident: which values
// of which persons were revealed, to whom, for what, how often, first and last.
// The answer is made from the audit log alone, in seconds over 10 million
// entries.
//
//	tally, err := exposure.Scan(ctx, log, exposure.Query{Principals: p}, nil)
//	summary := tally.Summary()
//	for row := range tally.Rows() { … }
//
// # What is counted
//
// The items of entries with the action [audit.ActionReveal] whose outcome is
// allowed. Nothing else shows a value, so refused items, writes, lists and
// tokens are left out. What is counted is what was authorised. That is an upper
// bound of what was seen: a call can fail after its entry is durable, and its
// answer can get lost on the way. A masked view counts as well as a plain one;
// a row names the views.
//
// What cannot be ruled out is counted too: an entry without a time lies in
// every window. The one exception is said by number: a question for key
// versions leaves out reveals of which the log does not know the version (see
// [Query]), and [Summary.VersionUnknown] says how many.
//
// Nothing is cut silently. A bound that is reached, a damaged entry, an entry
// of a newer format and a hole in the log each give an error and no answer.
// Entries that the log's retention removed cannot be counted; Summary.Begin
// says how many those are.
//
// # Memory
//
// A row is one subject and field. It takes 64 bytes, 5 to 11 bytes in the table
// that finds it, and 4 for the order: 73 to 79 bytes, so that the 20 million rows
// of the default bound take up to 1.6 GB. Each 256th of the rows ([Tally] cuts
// them by the first byte of the subject) has up to 64 KiB of spare room.
//
// Who, for what and in which view is kept as one number that stands for the
// three together. The first such combination of a row is in the row; each
// further one of the same row takes about 20 bytes; there are at most four times
// as many of these as rows within the bound. A log has at most [MaxCombinations]
// different ones in an answer; their names take up to about 0.5 KiB each.
//
// A scan's parts write into the same rows, so that their number does not
// multiply memory. Subjects are the enciphered references of the log; the
// package holds no value, no token and no id of a person, and writes nothing.
package exposure
