// Package config reads the configuration of the daemon: one small YAML file.
//
// # What is claimed
//
// The file is read strictly: an unknown key, a key that stands twice, a value
// of the wrong kind, a second document, an anchor, an alias or a tag is a
// mistake. All mistakes are reported at once, with line and path. Secrets are
// named by path and never stand in the file; a text that looks like a secret
// is refused and not repeated. The URL of a webhook is no place for one. Relative paths start from the folder of the
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
//	  retention: 730d                # absent: entries are kept for ever; else 30d to 36500d
//	  sinks:                         # where entries are sent; each has one of file, syslog, otlp
//	    - name: lake                 # a letter, then letters, digits and -; at most 32
//	      file: {path: lake.jsonl}
//	    - name: siem
//	      syslog: {address: "tls://siem.example.org:6514", ca: ca.crt}   # or unix:/dev/log, udp://, tcp://
//	    - name: collector
//	      otlp: {endpoint: "https://otel.example.org", headers_file: otel.headers, ca: ca.crt}
//	alarms:
//	  webhooks:                      # signed events, see server/sink/webhook
//	    - {name: duty, url: "https://duty.example.org/hook", secret_file: duty.secret, ca: ca.crt}
//	  unknown_tokens: {count: 20, within: 5m}    # default; 1 to 1000 items, 1s to 24h
//	  refusals: {count: 50, within: 5m}          # default
//	  persons: {floor: 100, factor: 10}          # default; in an hour
//	  hours:                         # who may reveal when; who is not named may always
//	    - principals: ["spiffe://example.org/office/*"]
//	      days: [mon..fri]           # names or ranges
//	      from: "08:00"              # to before from: into the next day
//	      to: "18:00"
//	      zone: Europe/Madrid        # default UTC; a name of the IANA database
//	metrics:                         # absent: none are served
//	  listen: 127.0.0.1:9411
//	  insecure: false                # default; true allows an address that others reach
//	reflection: false                # default
//	subject_key_cache: 100000        # default; people, 1000 to 10000000
//	log:
//	  level: info                    # default; debug, info, warn, error
//	  format: text                   # default; text, json
//	shutdown_grace: 10s              # default; 0s to 5m
//
// Metrics are served in clear and to whoever asks. They name nobody, but they
// tell how many values are revealed and refused, so that another address than
// this machine's own has to be asked for with insecure: true, for a network
// that is closed or a proxy that authenticates.
//
// The KEK and the epoch keys may not stand inside directory: a backup of it
// would hold the keys beside what they protect, and what is erased would come
// back with it.
package config
