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
	"strconv"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// OpenKeys is the process of the key bench that opens the vault in dir, reveals
// values under the oldest and the newest version in turns, and writes what it
// took as JSON.
func OpenKeys(ctx context.Context, dir string, rounds int, round time.Duration, out io.Writer) (err error) {
	daemon.Tune()
	oldest, err := readTokens(filepath.Join(dir, oldestTokens))
	if err != nil {
		return err
	}
	newest, err := readTokens(filepath.Join(dir, newestTokens))
	if err != nil {
		return err
	}
	var a opened
	log := &switchedLog{}
	begun := time.Now()
	node, err := openKeys(ctx, dir, log)
	if err != nil {
		return err
	}
	a.Seconds = time.Since(begun).Seconds()
	defer func() { err = errors.Join(err, node.Close()) }()
	a.Resident = resident()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	a.Live = float64(m.HeapAlloc)

	log.silence() // the log costs the same under every version
	if a.First, err = revealAll(ctx, node.Vault, oldest); err != nil {
		return err
	}
	if _, err := revealAll(ctx, node.Vault, newest); err != nil {
		return err
	}
	var before, after []float64
	for range rounds {
		x, err := revealFor(ctx, node.Vault, oldest, round)
		if err != nil {
			return err
		}
		y, err := revealFor(ctx, node.Vault, newest, round)
		if err != nil {
			return err
		}
		before, after = append(before, x), append(after, y)
	}
	a.Oldest, a.Newest = median(before), median(after)
	return json.NewEncoder(out).Encode(&a)
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
