package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/server/demo"
	"github.com/cloakroom-vault/cloakroom/server/tlsfiles"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/plain"
)

const (
	adminID = "spiffe://cloakroom.example/admin"
	shopID  = "spiffe://cloakroom.example/shop"
)

// hello is what the server process says when it is ready.
type hello struct {
	Vault, Echo string // addresses
	Certs       string // directory of certificates
	Tokens      string // file of card tokens, one a line
}

// order asks the server process for something; answer is what it says.
type order struct {
	Floor   int  `json:",omitempty"` // items of the bare loop to time
	Cached  bool `json:",omitempty"`
	Writes  int  `json:",omitempty"` // records to write at Callers callers
	Callers int  `json:",omitempty"`
	Silent  bool `json:",omitempty"` // from now on entries are thrown away
	Audited bool `json:",omitempty"` // from now on entries are written again
	Entries int  `json:",omitempty"` // entries to write to the log at Callers callers
	Log     bool `json:",omitempty"` // tell how the log is
}

type answer struct {
	CPU    float64 // seconds used by the process so far
	Floor  float64 // CPU nanoseconds an item of the bare loop
	Writes writesAnswer
	Log    logAnswer
	Error  string
}

// Serve is the server process: it makes a vault with subjects persons in dir,
// serves it and an echo on loopback, and obeys orders from in until it ends.
func Serve(ctx context.Context, dir string, subjects, cache int, in io.Reader, out io.Writer) (err error) {
	daemon.Tune()
	log := &switchedLog{}
	node, err := prepare(ctx, dir, cache, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	h := hello{Certs: filepath.Join(dir, "certs"), Tokens: filepath.Join(dir, "tokens")}
	if err := fill(ctx, node.Vault, subjects, h.Tokens); err != nil {
		return err
	}
	bare, err := newBareLoop(ctx, node, subjects)
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer stop()
	ready := make(chan net.Addr, 1)
	serving.Go(func() { _ = node.Serve(run, func(a net.Addr) { ready <- a }) })
	echo, err := newEcho(dir)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving.Go(func() { _ = echo.Serve(l) })
	defer echo.Stop()
	h.Vault, h.Echo = (<-ready).String(), l.Addr().String()
	return obey(ctx, node, log, bare, h, in, out)
}

// obey says hello and answers orders, one JSON object a line.
func obey(ctx context.Context, node *daemon.Node, log *switchedLog, bare *bareLoop, h hello, in io.Reader, out io.Writer) error {
	say := json.NewEncoder(out)
	if err := say.Encode(h); err != nil {
		return err
	}
	var written atomic.Int64
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var q order
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		a := answer{}
		var err error
		switch {
		case q.Floor > 0:
			a.Floor, err = bare.time(q.Floor, q.Cached)
		case q.Writes > 0:
			a.Writes, err = timeWrites(ctx, node, &written, q.Writes, q.Callers)
		case q.Silent:
			log.silence()
		case q.Audited:
			log.resume()
		case q.Entries > 0:
			a.Log, err = timeEntries(ctx, node, q.Entries, q.Callers)
		case q.Log:
			a.Log = logNow(node)
		}
		if err != nil {
			a.Error = err.Error()
		}
		a.CPU = cpu()
		if err := say.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

// cpu returns the seconds of CPU that this process used.
func cpu() float64 {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}

// prepare makes and opens a vault with the policy of the demo.
func prepare(ctx context.Context, dir string, cache int, log *switchedLog) (*daemon.Node, error) {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	path, err := daemon.Init(ctx, daemon.InitOptions{
		Dir: dir, Administrator: adminID, Listen: "127.0.0.1:0", Hosts: []string{"127.0.0.1"},
		Clients: map[string]string{"billing": "spiffe://cloakroom.example/billing"},
	}, logger)
	if err != nil {
		return nil, err
	}
	c, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	c.SubjectKeyCache = cache
	node, err := daemon.Open(ctx, c, logger, daemon.WrapLog(log.wrap))
	if err != nil {
		return nil, err
	}
	_, _, err = node.Vault.ApplyPolicy(ctx, vault.Caller{Principal: adminID}, vault.ApplyRequest{Document: demo.Policy()})
	if err != nil {
		return nil, errors.Join(err, node.Close())
	}
	return node, nil
}

// fill stores persons and writes the tokens of their cards to a file.
func fill(ctx context.Context, v *vault.Vault, subjects int, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for first := 0; first < subjects; first += vault.MaxBatch {
		q := vault.PutRequest{Collection: "customers"}
		for i := first; i < min(first+vault.MaxBatch, subjects); i++ {
			q.Records = append(q.Records, record(i))
		}
		results, err := v.PutRecords(ctx, vault.Caller{Principal: shopID}, q)
		if err != nil {
			return err
		}
		for _, r := range results {
			if r.Err != nil {
				return r.Err
			}
			for _, ft := range r.Record.Fields {
				if ft.Field == "card_pan" {
					fmt.Fprintln(w, ft.Tokens[0])
				}
			}
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

// record is the i-th person: three values, as a small customer record has.
func record(i int) vault.RecordInput {
	text := func(s string) []vault.Given { return []vault.Given{{Value: plain.Text(s)}} }
	return vault.RecordInput{
		SubjectID: fmt.Sprintf("person-%d", i),
		Fields: []vault.FieldValues{
			{Field: "full_name", Values: text("Person Number")},
			{Field: "email", Values: text(fmt.Sprintf("person-%d@example.org", i))},
			{Field: "card_pan", Values: text(card(i))},
		},
	}
}

// card makes a 16-digit number with a right check digit.
func card(i int) string {
	digits := fmt.Sprintf("4000%011d", i)
	sum := 0
	for at, r := range digits {
		d := int(r - '0')
		if at%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + string(rune('0'+(10-sum%10)%10))
}

// newEcho is a gRPC server of the same settings that answers every message
// with one of the size of a revealed card.
func newEcho(dir string) (*grpc.Server, error) {
	certs := filepath.Join(dir, "certs")
	files, err := tlsfiles.Open(filepath.Join(certs, "server.crt"), filepath.Join(certs, "server.key"), filepath.Join(certs, "ca.crt"), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	s := grpc.NewServer(server.Transport(files.ServerConfig())...)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			q := new(cloakroomv1.DetokenizeRequest)
			if err := decode(q); err != nil {
				return nil, err
			}
			item := &cloakroomv1.RevealedItem{}
			item.SetText("4000000000000002")
			item.SetView(cloakroomv1.View_VIEW_PLAIN)
			out := &cloakroomv1.DetokenizeResponse{}
			out.SetItems([]*cloakroomv1.RevealedItem{item})
			return out, nil
		}}},
	}, new(any))
	return s, nil
}
