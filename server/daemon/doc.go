// Package daemon opens a vault directory as a running server and makes new
// directories: it knows which engine, key provider and log a configuration
// means, and in which order they are opened and closed.
//
// What Init makes:
//
//	cloakroom.yaml   the configuration, with comments
//	data/            keys.db, values.db, values.scattered.db, audit/; later index.db
//	                 and alarms.json, which can be made again from the log, and
//	                 sinks/, how far each sink of the log came
//	kek/kek.key      the key that wraps the root key
//	epochs/          the keys that persons' keys are wrapped under
//	certs/           a development CA and its certificates
//
// data/ is worthless without kek/ and epochs/, and a backup of data/ must not
// be kept beside them. Losing kek/ or epochs/ is losing everything.
package daemon
