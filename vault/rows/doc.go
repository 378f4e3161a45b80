// Package rows is the layout of the vault's two stores: the tables, every key
// and every row that is not sealed bytes alone. Nothing else in the vault
// builds a key.
//
// keys.db holds what opens things, values.db everything else; they are
// separate so that they can be backed up and kept for different times.
//
//	values.db
//	  people          ordered    zeros 8                           control row: versions that decide
//	                             ref 8 | 0                         header of a person
//	                             ref 8 | 1                         the caller's id of the person, sealed
//	                             ref 8 | 2 | collection 2          a record: etag, times, items
//	                             ref 8 | 3 | field 3 | item 2      a cell: one sealed value
//	  members         ordered    collection 2 | ref 8              which persons have a record
//	  lookup          scattered  keyed hash of the caller's id 16  ref 8
//	  requests        scattered  keyed hash of a request item 16   outcome, for idempotency
//	  request_expiry  ordered    expiry ms 8 | request hash 16     when a request may be forgotten
//	  control         ordered    name                              counters, unfinished work, the vault's id, and
//	                                                               when to compact, and sealed: the first
//	                                                               administrator, the mark of the audit log, the
//	                                                               guard, who asked for the end of an epoch
//	  policies        ordered    version 8                         policy documents, sealed
//	  outbox          ordered    id of the entry 16                audit entries of committed changes, sealed
//	  ledger          ordered    ref 8                             erasures
//	  freezes         ordered    number 8                          freezes in force, sealed, all equally long
//	  honey           ordered    number 8                          honey marks, sealed, all equally long
//	  key_requests    ordered    number 8                          destructions that wait for approval, sealed
//	  key_uses        ordered    kind 1 | number 4 | version 2     how often a version may have been used, in
//	                                                               blocks that are reserved ahead
//	keys.db
//	  subjects        ordered    ref 8                             a person's key, wrapped under the epoch key
//	  keyring         ordered    name                              root and keysets, wrapped
//	  control         ordered    name                              vault id, the epoch in use, the one that is ending
//	                             "ended-epoch/" number 4           the last hundred epochs that ended
//
// Sealed is a row under the rows keyset, by Tink's AES-256-GCM, bound to its
// place by associated data:
//
//	"cloakroom/row/v1" | vault id 16 | number 8 | what it is
//
// The number is a policy's version, a freeze's or a mark's number, else 0. What
// it is: "policy", "freeze", "honey", "key-request", "bootstrap", "mark", "guard",
// "keysets", "pending-key", "rewrap", "epoch-end", or "outbox/"
// and the key of the row. In a row of the outbox stands the entry as the audit
// log takes it (audit.Entry); its id, which is the key, is
//
//	time ns 8 | count 2 | tag 6
//
// with a tag that only this vault can make (see the vault's changeid.go). The
// guard repeats the control row, which stands in clear, and says which freezes
// and honey marks there are; whatever changes one of them writes the guard in
// the same batch, and a vault in which they disagree does not open.
//
// All numbers are big-endian. A person's rows stand together, so that a reveal
// finds the header on the page of the cell. The first byte of every row that
// is not a bare number or key is a format number; an unknown one is
// store.ErrFormat.
package rows
