package config

import (
	"log/slog"
	"path/filepath"
	"time"
)

// Limits and defaults.
const (
	// MaxDocument is the size of the longest file that is read, in bytes.
	MaxDocument = 64 << 10

	DefaultListen = "127.0.0.1:7411"

	// The number of people whose unwrapped keys are kept in memory.
	DefaultSubjectKeyCache = 100_000
	MinSubjectKeyCache     = 1_000
	MaxSubjectKeyCache     = 10_000_000

	// How long a stopping daemon waits for running calls.
	DefaultShutdownGrace = 10 * time.Second
	MaxShutdownGrace     = 5 * time.Minute
)

// Config is what the file says, defaults filled in and paths resolved.
type Config struct {
	// Directory holds keys.db, values.db and values.scattered.db.
	Directory string
	// Listen is host:port, as net.Listen takes it.
	Listen string
	TLS    TLS
	KEK    KEK
	Epochs Epochs
	Keys   Keys
	// FIPS refuses to start unless the cryptography of the binary is in FIPS
	// 140-3 mode.
	FIPS bool
	// Backup is nil when none are made.
	Backup *Backup
	Audit  Audit
	Alarms Alarms
	// Metrics is nil when none are served.
	Metrics *Metrics
	// Reflection offers gRPC reflection to authenticated callers.
	Reflection bool
	// SubjectKeyCache is a number of people.
	SubjectKeyCache int
	Log             Log
	ShutdownGrace   time.Duration

	lines map[string]int // path of a key in the file -> line, for Check
}

// TLS names the PEM files of the listener.
type TLS struct {
	Certificate string // the server's certificate and its chain
	Key         string // its private key, mode 0600 or 0400
	ClientCA    string // the authorities that sign clients
}

// Audit says where the audit log stands, how long its entries stay and where
// they are sent.
type Audit struct {
	Directory string
	// Retention is how many days entries are kept; 0 is for ever.
	Retention int
	Sinks     []Sink
}

// Log says what the daemon logs about itself, and how.
type Log struct {
	Level  slog.Level
	Format Format
}

// Format is the form of log lines.
type Format string

// The forms of log lines.
const (
	Text Format = "text"
	JSON Format = "json"
)

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// Default returns the layout that `cloakroomd init` makes, all paths relative
// to the folder of the configuration file.
func Default() *Config {
	return &Config{
		Directory: "data",
		Listen:    DefaultListen,
		TLS: TLS{
			Certificate: filepath.Join("certs", "server.crt"),
			Key:         filepath.Join("certs", "server.key"),
			ClientCA:    filepath.Join("certs", "ca.crt"),
		},
		KEK: KEK{
			Provider: Provider{File: filepath.Join("kek", "kek.key")},
			Probe:    DefaultProbe, AwayLimit: DefaultAwayLimit,
		},
		Epochs: Epochs{EpochProvider: EpochProvider{Directory: "epochs"}, Length: DefaultEpochLength},
		Keys: Keys{
			Rotate: Rotate{Fields: DefaultKeyAge, Rows: DefaultKeyAge, Root: DefaultKeyAge},
			Warn:   DefaultWarn, Rewrap: Rewrap{Busy: DefaultBusy},
		},
		Audit:           Audit{Directory: auditIn("data")},
		Alarms:          defaultAlarms(),
		SubjectKeyCache: DefaultSubjectKeyCache,
		Log:             Log{Level: slog.LevelInfo, Format: Text},
		ShutdownGrace:   DefaultShutdownGrace,
	}
}

// auditIn is where the audit log stands when the file does not say.
func auditIn(directory string) string { return filepath.Join(directory, "audit") }
