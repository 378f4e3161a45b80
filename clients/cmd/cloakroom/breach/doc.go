// Package breach writes what a privacy officer needs after an incident: facts
// for the supervisory authority, after Article 33(3) of the GDPR, a text in
// plain words to each person affected, after Article 34, and the 72-hour
// deadline.
//
// # What is claimed
//
//   - No file holds a value: persons stand by the caller's ids and handles,
//     data by field and category.
//   - The folder is whole or not there. It is of mode 0700, its files of 0600.
//   - Memory does not grow with the number of persons: they are written as they
//     come.
//   - What only people know (what happened, what follows, what was done) is
//     never made up: it is marked to be filled in.
//
// # What is not
//
// It is not legal advice, and decides neither whether to notify nor whom. The
// numbers are an upper bound of what was seen, by the log of one node.
//
// # Files
//
//	authority.md    the notification, as text
//	authority.json  the same facts for programs; names are never changed or removed
//	persons.csv     number, subject_id, handle, fields, first, last, reveals, views, letter;
//	                a cell that a spreadsheet would take for a formula has an apostrophe before it
//	persons/N.txt   the letter of person N, for up to 500 persons
//	letters.txt     all letters, each behind a form feed, for more
//	deadline.txt    the deadline and the time left
//
// A language is a folder of text/ with three templates and words.yaml.
package breach
