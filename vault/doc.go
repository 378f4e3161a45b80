// Package vault keeps personal data and decides who gets it back.
//
// Services hand in values and keep tokens. Each value is stored under two
// locks, its field's key and its person's key, bound to its place. A value
// leaves only by a reveal: for a caller whose role covers the field, for a
// purpose the field is declared for, after the decision is durable in the
// audit log. Every operation decides first, with the caller as an explicit
// parameter, so that no transport can go around it.
//
// The order of checks is: the caller's right, the form of the request, the
// right on each field and domain, freezes, existence, the person's state, and
// only then the locks; so no error tells a caller without the right whether
// something exists or is frozen.
//
// While an incident is handled, principals, roles, fields, collections or the
// whole vault can be frozen: no value is revealed or confirmed that a freeze
// covers, by any call whose read starts after the freeze was answered. What
// calls are decided by (the policy, the freezes, the honey marks) has one row,
// the control row, that changes with it. Whoever reads or writes has that row
// in the same snapshot or among the preconditions, and decides anew when it is
// not the one he decided by; so also a node that was told nothing obeys. A
// sealed guard row repeats the control row and lists freezes and marks, so that
// one of them changed on the disk alone ends the start; the audit log, which
// has their entries, tells when all of them were put back ([Deep]).
//
// Honey records are persons who do not exist. Their marks are sealed rows of
// equal length under running numbers: a stolen disk shows how many there are,
// and not who. A mark outlives the erasure of its person, since refs are never
// used again: the old tokens stay a trap.
//
// A change is one batch of the value store: it requires the control row, the
// person's header and the record unchanged since they were read, and is tried
// again when they are not. With it goes an outbox row that holds its audit
// entry; the entry is durable in the log before the change is answered, and an
// outbox that a crash left behind is drained at the next start, which looks in
// the end of the log first. An entry may still stand twice in the log, with the
// same id.
//
// The vault reads its own log too, for who may: lists and watches through the
// index behind it (package index), exposure from the log itself (package
// exposure), proofs from its tree. Each such look is decided, and in the log,
// like everything else; what is handed out for long is decided again on the way.
//
// A new person's key is durable in the key store before the header that makes
// the person exist; a deleted person's header is gone before the key. A key
// that a crash left without a header is swept at a later start; a header
// without a key is data loss and reported as such.
//
// Persons' keys are wrapped under the key of an epoch, which no copy of the
// vault holds. When the epoch ends every key is wrapped in the next one, and the
// old key is destroyed at its provider: from then on no older copy opens the
// values of who was erased before (epochend.go has the steps). An end waits, and
// says why, while a person's key does not open, a backup cannot be made or the
// provider is away. What a deletion freed in the files goes when they are
// compacted, within the hour; what the medium keeps of a file that is gone is
// not the vault's, and is dead with the epoch.
package vault
