// Package alarm finds what somebody should look at in the audit log: guesses of
// tokens, series of refusals, callers who suddenly see far more people than
// they usually do, reveals outside the hours of work, reveals of honey records
// and data that does not open.
//
// A [Detector] is told the entries of the log one after the other and answers
// with alarms. A [Watcher] follows a log, tells a detector, and writes each
// alarm into the same log as an entry of its own ([Alarm.Entry]). Both work
// behind the log and never in the path of an answer. Delivering alarms to
// people is the work of whoever reads these entries.
//
// # Rules
//
//   - [UnknownTokens] "unknown_tokens": a caller asked for tokens that do not
//     exist or are no tokens, at least Count of them within Within.
//   - [Refusals] "refusals": a caller was refused otherwise, at least Count
//     times within Within. Refusals that are the vault's own failure (numbers 80
//     to 99, such as a full disk) say nothing about the caller and do not count.
//   - [ManyPersons] "many_persons": within one clock hour (UTC) a caller was
//     allowed to see more distinct persons than Floor, and more than Factor times
//     its usual.
//   - [OutOfHours] "out_of_hours": values were revealed to a caller outside the
//     hours declared for it.
//   - [Honey] "honey": a caller asked to reveal values of a honey record, to
//     tokenize one (which confirms values), or what a token of it stands for;
//     allowed or not. Reads and lists of records do not count: they touch everybody
//     in the course of ordinary work.
//   - [Corrupt] "corrupt": an item was refused because its data does not open
//     (DATA_CORRUPT).
//   - [Sealed] "sealed", [KeyAway] "key_away", [KeyDue] "key_due": the vault gave
//     its keys up, a key provider does not answer, a key rotates by itself soon.
//   - [KeyDestruction] "key_destruction": somebody asked for the destruction of a
//     key that values need, or destroyed a key.
//
// A refused item counts as one. A call that was refused as a whole counts as one
// too, however much it asked for: nothing was looked up for it.
//
// An alarm is about one rule and one principal, and there is one for each window
// of these, which is Within for the two series, the clock hour for many_persons,
// and [Window] for the rest; but those about keys are raised each time. What comes within the window after an alarm is
// counted, and told by the next: a series that goes on raises again once the
// window has passed; for the rules without a threshold the next alarm comes with
// the first entry of anybody after the window. Two events that are exactly one
// window apart are not in the same window. For honey each trap counts alone: one
// that no alarm of the window named raises at once, up to 1,024 in a window.
//
// The entry of an alarm says in its reason which entry was the last that it is
// about: "entry:" and the index.
//
// # The usual of a caller
//
// The usual number of persons is the highest hour of the days before (UTC),
// halved for every week since. It is the highest and no mean, because a nightly
// job is quiet for 23 hours and a mean of these would make each night an alarm.
// It is of the days before and not of the hours before, because a caller could
// otherwise climb by Factor every hour, unnoticed. An hour that raised an alarm
// teaches at once, since somebody has been told, but no more than the number that
// it was held against: a theft of a million does not become usual, and a new
// service of 5,000 an hour raises twice or three times in all.
//
// # Time
//
// There is no clock but the times of the entries. Entries may be somewhat out of
// order. When the clock of the log steps by more than a window, in either
// direction, series begin anew and windows are over; it never silences a rule
// for longer than that.
//
// # What is claimed
//
//   - The same entries give the same alarms with the same ids, also when a
//     restart comes between any two of them and when entries are told again from
//     a saved state on, as long as configuration and honey records are the same.
//   - An alarm is in the log at least once if the watcher runs afterwards. After a
//     crash it may be there twice; then both have one id.
//   - Distinct persons are counted exactly, by their enciphered references.
//   - Memory is bounded. At most [MaxPrincipals] callers are remembered; when one
//     more comes, those not heard of for the longest time fall out, with their
//     series and their usual (so a caller who returns is held against Floor). At
//     most [MaxPersons] persons are held for the current hour of all callers
//     together, some 40 bytes each; when there are more, the largest set is given
//     up, and its caller raises many_persons with its next reveal in that hour. A
//     set is also dropped as soon as it has raised. A series keeps at most Count
//     marks of 16 bytes.
//
// # What is not
//
// Alarms are hints. Who knows the rules can stay below them: slowly, with many
// identities, or across the turn of an hour. What must not happen is for policy
// and limits to refuse. Entries that were removed from the log before the watcher
// came to them are not seen; how many were missed is logged.
//
// # What is seen
//
// Principals as authenticated, enciphered references of subjects, numbers of
// fields and items, and request ids. Log lines name rule, principal, count, and
// the entry's index alone.
//
// # Format on disk
//
// The state file is one JSON object: "format" 1, "cursor" (the index of the next
// entry to read), "hour" (the current one, UTC, since 1970), and "principals" with
// series, windows and persons of each; times are nanoseconds since 1970, references
// are base64. It is replaced as a whole (a new file under the name plus ".new", forced
// to disk, renamed) and has mode 0600. An unknown format or field is refused.
package alarm
