// Package config reads the configuration of the daemon: one small YAML file.
//
// # What is claimed
//
// The file is read strictly: an unknown key, a key that stands twice, a value
// of the wrong kind, a second document, an anchor, an alias or a tag is a
// mistake. All mistakes are reported at once, with line and path. Secrets are
// named by path and never stand in the file; a text that looks like a secret
// is refused and not repeated. Relative paths start from the folder of the
// file, wherever the daemon is started.
//
// Parse looks at the text alone. Check also looks at the file system and is
// what `cloakroomd check-config` runs.
//
// # What is not
//
// Check sees the files of this moment; what opens them later checks again. It
// does not compare the KEK with the vault's root, does not bind the listening
// address, and reads no value.
//
// # File
//
//	directory: data                  # required; values, people's keys, index
//	listen: 127.0.0.1:7411           # default; an IP address or host, and a port
//	tls:                             # required
//	  certificate: certs/server.crt
//	  key: certs/server.key
//	  client_ca: certs/ca.crt
//	kek:                             # required; exactly one provider
//	  file: kek/kek.key
//	epochs:                          # required; not inside directory
//	  directory: epochs
//	audit:
//	  directory: data/audit          # default: audit inside directory
//	reflection: false                # default
//	subject_key_cache: 100000        # default; people, 1000 to 10000000
//	log:
//	  level: info                    # default; debug, info, warn, error
//	  format: text                   # default; text, json
//	shutdown_grace: 10s              # default; 0s to 5m
//
// The KEK and the epoch keys may not stand inside directory: a backup of it
// would hold the keys beside what they protect, and what is erased would come
// back with it.
package config
