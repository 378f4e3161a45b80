package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// ControlName is the socket, in the data directory, by which commands on the
// same machine ask the daemon that serves it. It has mode 0600, and whoever
// connects must be the user that the daemon runs as, or root.
//
// It speaks HTTP: a POST to one of the paths below is answered by one line of
// JSON, {"report": …} or {"error": "…"}.
const ControlName = "daemon.sock"

// The paths that the daemon answers.
const (
	backupPath = "/v1/backup"
	checkPath  = "/v1/fsck"
	repairPath = "/v1/fsck/repair"
)

// answer is what the daemon says.
type answer struct {
	Report json.RawMessage `json:"report,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// errAsked is an error that the daemon told.
type errAsked struct{ text string }

func (e errAsked) Error() string { return e.text }

// control begins to listen on the socket, until the node is closed. What an
// earlier run left there is replaced: the stores are locked, so nobody serves.
func (n *Node) control(ctx context.Context) error {
	path := filepath.Join(n.config.Directory, ControlName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	address, done, err := socketAddress(path)
	if err != nil {
		return err
	}
	defer done()
	l, err := new(net.ListenConfig).Listen(ctx, "unix", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // by the name it was given, which may be another's then
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &http.Server{
		Handler:           n.controlHandler(),
		BaseContext:       func(net.Listener) context.Context { return run },
		ConnContext:       withPeer,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          nil,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l) // until Close
	}()
	n.closing(func() error {
		stop() // what is asked ends
		err := s.Shutdown(context.WithoutCancel(ctx))
		<-ended
		return errors.Join(err, os.Remove(path))
	})
	return nil
}

// controlHandler answers the paths. Each call is decided by who is connected.
func (n *Node) controlHandler() http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, do func(ctx context.Context, by string, q url.Values) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			uid, err := peerOf(r.Context())
			if err == nil && uid != 0 && uid != os.Geteuid() {
				err = fmt.Errorf("user %d may not ask this daemon, which runs as user %d", uid, os.Geteuid())
			}
			var report any
			if err == nil {
				report, err = do(r.Context(), localUser(uid), r.URL.Query())
			}
			var a answer
			if err == nil {
				a.Report, err = json.Marshal(report)
			}
			if err != nil {
				a = answer{Error: err.Error()}
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(a) // to who may have left
		})
	}
	serve(backupPath, func(ctx context.Context, by string, _ url.Values) (any, error) { return n.backup(ctx, by) })
	serve(checkPath, func(ctx context.Context, by string, q url.Values) (any, error) { return n.fsck(ctx, by, q, false) })
	serve(repairPath, func(ctx context.Context, by string, q url.Values) (any, error) { return n.fsck(ctx, by, q, true) })
	return mux
}

// askDaemon has the daemon that serves a directory do something. It returns
// false when none does.
func askDaemon(ctx context.Context, dir, path string, report any) (served bool, err error) {
	address, done, err := socketAddress(filepath.Join(dir, ControlName))
	if err != nil {
		return false, err
	}
	defer done()
	c, err := new(net.Dialer).DialContext(ctx, "unix", address)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, os.ErrPermission) {
			return true, err
		}
		return false, nil // no socket, or one that a crash left
	}
	defer func() { _ = c.Close() }() // what was asked was answered
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c, nil },
		DisableKeepAlives: true,
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://daemon"+path, nil)
	if err != nil {
		return true, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return true, fmt.Errorf("ask the daemon that serves %s: %w", dir, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return true, fmt.Errorf("the daemon that serves %s stopped before it answered: %w", dir, err)
	}
	if a.Error != "" {
		return true, errAsked{a.Error}
	}
	return true, json.Unmarshal(a.Report, report)
}

// peerKey is where withPeer puts who is connected.
type peerKey struct{}

// withPeer remembers who is connected.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	uid, err := peerUser(c)
	return context.WithValue(ctx, peerKey{}, peer{uid, err})
}

type peer struct {
	uid int
	err error
}

func peerOf(ctx context.Context) (int, error) {
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok {
		return 0, errors.New("it is not known who is connected")
	}
	return p.uid, p.err
}
