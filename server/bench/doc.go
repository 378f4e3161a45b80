// Package bench measures the vault against floors taken in the same run, since
// machines differ and are shared: the ratios are what counts.
//
// The server runs in a process of its own, so that its CPU time can be told
// from that of the load. Load and floor take turns, round by round, and a
// ratio is the median over the rounds.
//
// The floors: for batches and streams the bare loop, which is one bbolt cursor
// seeking the cell (the header stands on its page), the person's key from
// memory or from keys.db, and the two opens by the standard library and
// x/crypto; for a single reveal an echo on a gRPC server of the same settings,
// which carries the same messages and is paced to as many calls a second as the
// vault answered (a second row compares both at full speed); for writes a bare
// log with group commit at the same number of callers.
package bench
