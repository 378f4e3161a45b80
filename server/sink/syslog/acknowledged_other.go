//go:build !linux

package syslog

import "context"

// acknowledged cannot be known here.
func (c *connection) acknowledged(context.Context) error { return nil }
