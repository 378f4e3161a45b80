//go:build !linux

package daemon

// Only Linux has a switch of its own against dumps.
func notDumpable() error { return nil }
