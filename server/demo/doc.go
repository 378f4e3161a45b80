// Package demo shows the vault at work on sample customers: it makes a vault
// in a temporary directory, serves it over mTLS on loopback, and calls it
// through the Go client as the services of a small shop would. Every line it
// prints comes from a real call.
//
// The data in data/ is synthetic; no real person is in it.
package demo
