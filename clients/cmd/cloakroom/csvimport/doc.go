// Package csvimport turns a CSV file with a header into records, and carries
// them to a vault in lots.
//
// The file is UTF-8 (a byte order mark is skipped) with commas, quoted as in
// RFC 4180. One column holds the subject's id. Every other column goes to the
// field of its own name, unless the [Mapping] sends it elsewhere or skips it.
// Several columns can make one value ("latitude+longitude=location" joins them
// by a comma), and several mappings to one field give it several values, in the
// order of the mappings. A cell that is empty or blank is no value.
//
// A row that cannot be read or sent is reported and the rest goes on: rows have
// numbers as spreadsheets show them (the header is row 1; blank lines are not
// counted), and the line in the file on which they begin.
//
// # Claims
//
//   - No error, [Failure] or message holds a cell of a data row, the subject's
//     id included. Names of columns are repeated only once the id column has
//     been found, because a file without a header has people in its first row.
//   - Every row of a finished lot that was not stored is in the list of failures.
//
// Values are not checked here, but for what would break the transport: the
// vault knows the types.
package csvimport
