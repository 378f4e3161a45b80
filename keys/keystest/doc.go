// Package keystest holds key providers to the contracts of package keys, and
// offers test doubles of what a vault needs to have keys at all.
//
// RunKEK and RunEpochKEK are the contract suites; a provider's test calls
// them with a Harness and has no more to say about the contract. KEK,
// EpochKEK and Storage keep everything in memory and can be told to fail.
// Nothing here is for production use.
package keystest
