// Package config reads the configuration of the daemon: one small YAML file.
//
// # What is claimed
//
// The file is read strictly: an unknown key, a key that stands twice, a value
// of the wrong kind, a second document, an anchor, an alias or a tag is a
// mistake. All mistakes are reported at once, with line and path. Secrets are
// named by path, or by the name of a systemd credential, and never stand in the
// file; a text that looks like a secret is refused and not repeated. The URL of
// a webhook is no place for one. Relative paths start from the folder of the
// file, wherever the daemon is started.
//
// Parse looks at the text alone. Check also looks at the file system and is
// what `cloakroomd check-config` runs. Both hold what is of a key provider to
// the rules of that provider's package, and neither speaks to a network or
// loads a library.
//
// # What is not
//
// Check sees the files of this moment; what opens them later checks again. It
// does not compare the KEK with the vault's root, does not try a passphrase,
// does not bind the listening address, and reads no value. A systemd credential
// is looked at only where there are some, in the service itself.
//
// A KEK of backups may be the vault's own, and should not be: who then has a
// backup and that key has the values.
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
//	  file: kek/kek.key              # keys/filekek
//	  credential: NAME               # of systemd
//	  passphrase: {file: kek/pass.kek, from_file: PATH}       # or from_credential: NAME
//	  transit: {address: "https://vault:8200", namespace: n, mount: transit, key: k, ca: ca.crt,
//	            timeout: 5s, token_file: PATH}                # or approle: {role_id_file: PATH, secret_id_file: PATH, mount: m}
//	                                                          # or kubernetes: {role: r, token_file: PATH, mount: m}
//	  aws: {region: r, key: ARN, endpoint: URL, profile: p, timeout: 5s}
//	  gcp: {key: projects/…, endpoint: "host:port", credentials_file: PATH, timeout: 5s}
//	  pkcs11: {library: PATH, token: t, serial: s, pin_file: PATH, module_iv: false, label: l, id: 0a0b,
//	           sessions: 4, timeout: 10s}                     # label, id or both
//	  next: {…}                      # absent: none; a provider as above, which the KEK is changed to
//	  probe: 10s                     # default; 1s to 10m
//	  away_limit: 1h                 # default; 0 to 7d
//	epochs:                          # required; exactly one provider
//	  directory: epochs              # keys/filekek
//	  transit: {…, prefix: p}        # as above, with a prefix in place of key
//	  aws: {…, prefix: p, destruction_delay: 7d}
//	  gcp: {…, key_ring: projects/…, destruction_delay: 1d, hsm: false}
//	  pkcs11: {…, prefix: p}         # in place of label and id
//	  length: 7d                     # default; 1h to 90d; 0: only on demand
//	keys:
//	  rotate: {fields: 365d, domains: 0, rows: 365d, audit: 0, root: 365d}    # default; 1d to 3650d; 0: only on demand
//	  warn: 14d                      # default; 1d to 90d; 0: no alarm before
//	  rewrap: {rate: 0, busy: 10}    # default; values a second, 0: no bound; 1 to 100 percent
//	fips: false                      # default; true refuses to start outside FIPS 140-3 mode, and refuses passphrases
//	backup:                          # absent: none
//	  values: {directory: d, keep: 30d, kek: {…}}             # keep: default; 1d to 3650d
//	  keys: {directory: e, keep: 7d, kek: {…}}                # keep: default
//	  every: 1d                      # default; 1h to 30d; 0: only on demand
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
// Key files, epoch keys and what opens the way to keys elsewhere (tokens, PINs)
// may not stand inside directory, the audit log or a directory of backups: a
// copy of it would hold the keys beside what they protect, and what is erased
// would come back with it. Backups of keys and of values stand in two
// directories, neither of them inside the other nor beside the data.
//
// A duration has a unit of Go (s, m, h); those of days, such as 7d, are taken
// where a day is a sensible time.
package config
