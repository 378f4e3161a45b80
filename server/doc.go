// Package server puts the vault on gRPC: who calls, how requests and answers
// are converted, and which status goes with which error. It decides nothing;
// every decision is the vault's.
//
// The caller's identity is read from the verified client certificate when the
// connection is made: the SPIFFE ID of its one URI name, or else "dns:" and
// its one DNS name. Nothing in a request can change it.
package server
