package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// opened is what a process tells that opened vaults.
type opened struct {
	Seconds        float64 // that opening took, all of them
	Resident, Live float64 // bytes
	// First is the CPU nanoseconds an item of reveals that come first, of each
	// vault under the oldest version; Oldest and Newest those of each turn.
	First          []float64
	Oldest, Newest [][]float64
}

// OpenKeys is the process of the key bench that opens vaults and writes what
// that took, as JSON. With turns it also reveals values under the oldest and the
// newest version of each, in short turns: what else the machine does then
// touches all of them alike.
func OpenKeys(ctx context.Context, dirs []string, turns int, turn time.Duration, out io.Writer) (err error) {
	daemon.Tune()
	var a opened
	var all []*openVault
	defer func() {
		for _, o := range all {
			err = errors.Join(err, o.node.Close())
		}
	}()
	begun := time.Now()
	for _, dir := range dirs {
		o, err := newOpenVault(ctx, dir)
		if err != nil {
			return err
		}
		all = append(all, o)
	}
	a.Seconds = time.Since(begun).Seconds()
	a.Resident = resident()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	a.Live = float64(m.HeapAlloc)
	if turns > 0 {
		if err := a.reveal(ctx, all, turns, turn); err != nil {
			return err
		}
	}
	return json.NewEncoder(out).Encode(&a)
}

// reveal takes the figures of reveals.
func (a *opened) reveal(ctx context.Context, all []*openVault, turns int, turn time.Duration) error {
	for _, o := range all {
		if err := o.readTokens(); err != nil {
			return err
		}
		o.log.silence() // the log costs the same under every version
		first, err := revealAll(ctx, o.node.Vault, o.oldest)
		if err != nil {
			return err
		}
		if _, err := revealAll(ctx, o.node.Vault, o.newest); err != nil {
			return err
		}
		a.First = append(a.First, first)
	}
	a.Oldest, a.Newest = make([][]float64, len(all)), make([][]float64, len(all))
	type load struct {
		of     *openVault
		tokens []string
		into   *[]float64
	}
	var loads []load
	for i, o := range all {
		loads = append(loads, load{o, o.oldest, &a.Oldest[i]}, load{o, o.newest, &a.Newest[i]})
	}
	for range turns {
		for _, l := range loads {
			l.of.log.silence() // forgets what it was given, so that each turn begins alike
			runtime.GC()
			cost, err := revealFor(ctx, l.of.node.Vault, l.tokens, turn)
			if err != nil {
				return err
			}
			*l.into = append(*l.into, cost)
		}
		slices.Reverse(loads)
	}
	return nil
}

// openVault is a vault whose log can be silenced, and its tokens.
type openVault struct {
	dir            string
	log            switchedLog
	node           *daemon.Node
	oldest, newest []string
}

func newOpenVault(ctx context.Context, dir string) (_ *openVault, err error) {
	o := &openVault{dir: dir}
	o.node, err = openKeys(ctx, dir, &o.log)
	return o, err
}

func (o *openVault) readTokens() (err error) {
	if o.oldest, err = readTokens(filepath.Join(o.dir, oldestTokens)); err != nil {
		return err
	}
	o.newest, err = readTokens(filepath.Join(o.dir, newestTokens))
	return err
}

// openKeys opens the vault in dir, with a log that can be silenced if one is
// given.
func openKeys(ctx context.Context, dir string, log *switchedLog) (*daemon.Node, error) {
	c, err := config.Load(filepath.Join(dir, daemon.ConfigName))
	if err != nil {
		return nil, err
	}
	if log == nil {
		return daemon.Open(ctx, c, keyLogger())
	}
	return daemon.Open(ctx, c, keyLogger(), daemon.WrapLog(log.wrap))
}

func readTokens(path string) (tokens []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		tokens = append(tokens, lines.Text())
	}
	return tokens, nil
}

// openBatch is how many tokens a reveal of the opened vault has.
const openBatch = 100

// revealAll reveals every token once and returns CPU nanoseconds an item.
func revealAll(ctx context.Context, v *vault.Vault, tokens []string) (float64, error) {
	var out vault.Revealed
	begun := cpu()
	for at := 0; at < len(tokens); at += openBatch {
		if err := revealBatch(ctx, v, tokens[at:min(at+openBatch, len(tokens))], &out); err != nil {
			return 0, err
		}
	}
	return (cpu() - begun) * 1e9 / float64(len(tokens)), nil
}

// revealFor reveals tokens drawn at random for a time and returns CPU
// nanoseconds an item.
func revealFor(ctx context.Context, v *vault.Vault, tokens []string, round time.Duration) (float64, error) {
	var out vault.Revealed
	batch := make([]string, openBatch)
	n, begun := 0, cpu()
	for end := time.Now().Add(round); time.Now().Before(end) || n == 0; n += openBatch {
		for i := range batch {
			batch[i] = tokens[rand.IntN(len(tokens))]
		}
		if err := revealBatch(ctx, v, batch, &out); err != nil {
			return 0, err
		}
	}
	return (cpu() - begun) * 1e9 / float64(n), nil
}

func revealBatch(ctx context.Context, v *vault.Vault, tokens []string, out *vault.Revealed) error {
	defer out.Wipe()
	err := v.Detokenize(ctx, vault.Caller{Principal: billingID}, vault.DetokenizeRequest{Tokens: tokens, Purpose: "payment"}, out)
	if err != nil {
		return err
	}
	for i := range out.Items {
		if out.Items[i].Err != nil {
			return fmt.Errorf("bench: a reveal was refused: %w", out.Items[i].Err)
		}
	}
	return nil
}

// resident returns the bytes of memory that the process holds: what the system
// says where it can be asked, else what the runtime took from it.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range bytes.Lines(text) {
			fields := bytes.Fields(line)
			if len(fields) >= 2 && string(fields[0]) == "VmRSS:" {
				if kb, err := strconv.ParseFloat(string(fields[1]), 64); err == nil {
					return kb * 1024
				}
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys)
}
