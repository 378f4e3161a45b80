// Package boltstore is the embedded storage engine: one bbolt file, and a
// second one for tables whose keys are hashes.
//
// # What is claimed
//
// The contract of vault/store. Many callers' batches share one transaction
// and its two fdatasyncs; no timer delays a commit, the next group forms
// while the previous one is written. After a crash at any point each
// acknowledged batch is there, and each other one is wholly there or wholly
// absent.
//
// # What is not claimed
//
// bbolt keeps no checksum of its pages. Damage to the structure of a file
// (page headers, element tables, branch keys, the free list) is found when
// the file is opened or when the page is read, and is reported as
// store.ErrCorrupt. Damage inside a key or a value is not seen here: a changed
// value is refused by the seal around it, a changed key reads as a missing
// row until Check finds it out of order. Only one process may open a store.
//
// # Scattered tables
//
// A bbolt tree takes ordered keys 12 to 29 times faster than random ones. So
// a change of a scattered row is first a sealed entry of a pending log, an
// ordered bucket written by the same transaction, and a row of a table in
// memory. A merger moves the rows in large sorted lots into the scattered
// file. Entries are sealed with fresh nonces and padded to 32 bytes, so that
// the log does not tell equal ones apart, nor a removed row from a short one.
//
// The log is cut into generations, each a bucket with a layer in memory. The
// merger starts a new generation, writes the one before into the file, fsyncs
// it, forgets the layer, and then drops the bucket. A generation dropped late,
// or merged twice, gives the same rows, since entries hold the resulting
// values and are replayed in order over whatever the file holds.
//
// A reader opens the scattered file, then the values file, and takes from
// memory only what was committed up to the transaction it got of the values
// file. The file never holds a later change than that, because it was opened
// first, and takes only generations that ended before; and a row leaves memory
// only after the file has it.
//
// # Compaction
//
// bbolt leaves what was deleted or overwritten in free pages until they are
// used again. Compact drains the pending log and then copies each file into a
// new one beside it (".compact"), in order of the keys, in steps of a short
// read transaction each. Writers note, after each commit, which rows it
// changed. A step takes the notes, begins to read, and first repeats those
// that lie in the part copied already; later ones it reads anyway. When few
// rows change during a step, the writers of that file are held: the last
// notes are repeated, the copy is fsynced, takes the name of the file, and the
// directory is fsynced; then it is used. Commits wait for that much and no
// longer; a reader that finds its file closed takes the new one. The copy is
// locked before it takes the name, and who opens a file asks after locking it
// whether it still bears the name, so that no other process gets in between.
//
// After a crash the name belongs to the old file or to the copy. Before the
// rename the old one has all acknowledged batches, the copy counts for nothing
// and the next Open removes it. From the rename on both have all of them,
// since the copy was fsynced before, and no writer goes on until the directory
// is: so it does not matter which of the two names a power cut leaves. When
// the rename or the fsync of the directory fails, nobody knows, and the store
// refuses commits (store.ErrBroken) until it is opened again.
//
// The file that lost its name is freed by the file system when it is closed:
// when the last reader, or snapshot, of it has ended. What the medium keeps of
// freed blocks, and what copies of the file system keep, is not claimed. Nor
// is a file set aside as ".lost": ScatteredRebuilt removes it. A file that is
// damaged is not copied, since the copy would look sound. A value that was
// deleted while Compact ran may be in a free page of the copy. While it runs a
// copy takes up to the space of the file again; it ends with store.ErrFull
// when commits would be left with too little.
//
// # Format on disk
//
// values.db (Options.Path), all integers big-endian:
//
//	meta/"format"     1 byte: 1
//	meta/"table" n    kind, then the name, for each table number n
//	meta/"scattered"  id 16 | gen 8 | trimmed 8 | base 8 | lost 1
//	"t" n             the rows of ordered table n
//	"p" gen           pending log of a generation: seq 8 -> sealed entry
//
// A sealed entry is table 1 | op 1 | key length 1 | value length 4 | key |
// value | zeros up to a multiple of 32, with "cloakroom pending 1", id, gen
// and seq as associated data. gen is the generation being written, trimmed the
// last one dropped, base the one the scattered file was created after.
//
// values.scattered.db:
//
//	meta/"format"     1 byte: 1
//	meta/"id"         16 bytes, equal to that of values.db
//	meta/"merged"     8 bytes: all generations up to this one are in the file
//	"t" n             the rows of scattered table n
//
// The scattered file can be derived from other rows. When it is missing,
// damaged, of another id or older than the values file knows, Open sets it
// aside as ".lost", begins a new one, and ScatteredLost reports it until the
// owner has rebuilt the rows and said so.
package boltstore
