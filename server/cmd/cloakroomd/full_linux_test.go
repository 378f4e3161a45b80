package main_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// limitFiles sets how large the files of a process may become, as a full disk
// would; 0 takes the limit away.
func limitFiles(t *testing.T, p *process, size uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY}
	if size == 0 {
		limit.Cur = unix.RLIM_INFINITY
	}
	check(t, unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil))
}

// TestFullStore: the caller is told, reveals go on, nothing that was
// acknowledged is lost, and with room again the vault takes writes without a
// restart.
func TestFullStore(t *testing.T) {
	t.Parallel()
	p := serve(t, initVault(t))
	p.applyDemoPolicy()
	first := storeCard(t, p, "before")
	acknowledged := map[string]string{"before": card}
	limitFiles(t, p, 17<<20) // room for the segment of the log, not for what follows
	wantRefused(t, fill(t, p, acknowledged), codes.ResourceExhausted, "STORE_FULL")
	if len(acknowledged) < 2 {
		t.Error("nothing was stored before the disk was full: the limit is too low to say anything")
	}
	got, err := p.as("billing").DetokenizeOne(t.Context(), first, "payment")
	if err != nil || got.Value.ExposeText() != card {
		t.Errorf("a reveal on a full disk: %v", err)
	}
	wantRecovery(t, p, acknowledged)
}

// TestFullLog: without room for the audit log no value leaves and nothing is
// stored, until there is room again.
func TestFullLog(t *testing.T) {
	t.Parallel()
	p := serve(t, initVault(t))
	p.applyDemoPolicy()
	token := storeCard(t, p, "before")
	limitFiles(t, p, 4<<10)
	billing := p.as("billing", cloakroom.WithRetry(1, time.Second))
	var err error
	for range 1000 {
		var got cloakroom.Revealed
		if got, err = billing.DetokenizeOne(t.Context(), token, "payment"); err != nil {
			if text := got.Value.ExposeText(); text != "" {
				t.Error("a value beside an error of the log")
			}
			break
		}
	}
	wantRefused(t, err, codes.Unavailable, "AUDIT_UNAVAILABLE")
	if err := p.as("shop").Health(t.Context()); err == nil {
		t.Error("healthy without a log")
	}
	_, err = p.as("shop", cloakroom.WithRetry(1, time.Second)).Put(t.Context(), customers, cloakroom.RecordInput{
		SubjectID: "meanwhile", Fields: cloakroom.Fields{"card_pan": cloakroom.Texts(card)},
	})
	if err == nil {
		t.Error("stored without a log")
	}
	wantRecovery(t, p, map[string]string{"before": card})
}

func wantRefused(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	var e *cloakroom.Error
	if !errors.As(err, &e) || e.Code != code || e.Reason != reason {
		t.Fatalf("got %v, want %s %s", err, code, reason)
	}
}

// wantRecovery makes room again and wants the vault to serve as before, also
// after a kill.
func wantRecovery(t *testing.T, p *process, acknowledged map[string]string) {
	t.Helper()
	limitFiles(t, p, 0)
	storeCard(t, p, "after")
	acknowledged["after"] = card
	check(t, p.as("shop").Health(t.Context()))
	wantAll(t, p, acknowledged)
	if strings.Contains(p.log.String(), card) {
		t.Error("the log holds a value")
	}
	p.kill()
	p = serve(t, p.dir)
	wantAll(t, p, acknowledged)
	p.stop()
	wantConsistent(t, p.dir)
}

// fill stores records until the vault refuses, and notes what it acknowledged.
func fill(t *testing.T, p *process, acknowledged map[string]string) error {
	t.Helper()
	shop := p.as("shop", cloakroom.WithRetry(1, time.Second))
	big := strings.Repeat("A long street in a long town. ", 4)
	for batch := range 200 {
		var records []cloakroom.RecordInput
		for i := range 500 {
			n := batch*1000 + i
			records = append(records, cloakroom.RecordInput{SubjectID: fmt.Sprintf("fill-%d", n), Fields: cloakroom.Fields{
				"card_pan": cloakroom.Texts(cardNumber(n)), "street": cloakroom.Texts(big), "city": cloakroom.Texts(big),
				"full_name": cloakroom.Texts(big),
			}})
		}
		results, err := shop.PutMany(t.Context(), customers, records)
		for i, r := range results {
			if r.Err != nil {
				err = r.Err
				continue
			}
			acknowledged[records[i].SubjectID] = cardNumber(batch*1000 + i)
		}
		if err != nil {
			return err
		}
	}
	return errors.New("nothing was refused")
}

// TestNoCoreDumps: the limit of core files is zero, and the process cannot be
// dumped or traced by its own user.
func TestNoCoreDumps(t *testing.T) {
	t.Parallel()
	p := serve(t, initVault(t))
	var core unix.Rlimit
	check(t, unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_CORE, nil, &core))
	if core.Cur != 0 || core.Max != 0 {
		t.Errorf("core files may have %d bytes, %d at most", core.Cur, core.Max)
	}
	// Files of a process that cannot be dumped belong to root, whoever runs it.
	if os.Geteuid() != 0 {
		var st unix.Stat_t
		check(t, unix.Stat(fmt.Sprintf("/proc/%d/environ", p.cmd.Process.Pid), &st))
		if st.Uid != 0 {
			t.Error("the process can be dumped")
		}
	}
	p.stop()
}
