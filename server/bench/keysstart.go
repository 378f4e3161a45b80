package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/plain"
)

const (
	// widePeople and wideValues are how many persons of the wide collection are
	// stored at a time, and how many values each has.
	widePeople = 1000
	wideValues = 10
)

// Files of tokens in the folder of a wide vault, by the version of the keysets
// that their values stand under.
const (
	oldestTokens = "oldest.tokens"
	newestTokens = "newest.tokens"
)

// measureStart compares the start of a vault with many old versions with that of
// the same vault without, and reveals under the oldest version with those under
// the newest.
func measureStart(ctx context.Context, o *KeyOptions) (_ []Result, err error) {
	dir, err := os.MkdirTemp(o.Dir, "start-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	young, old := filepath.Join(dir, "young"), filepath.Join(dir, "old")
	if err := makeWide(ctx, young, o.Fields, 1); err != nil {
		return nil, err
	}
	if err := makeWide(ctx, old, o.Fields, o.Versions); err != nil {
		return nil, err
	}
	var opening, resident, live pairs
	for range o.Rounds {
		a, err := openAlone(ctx, o, 0, young)
		if err != nil {
			return nil, err
		}
		b, err := openAlone(ctx, o, 0, old)
		if err != nil {
			return nil, err
		}
		opening.add(b.Seconds*1000, a.Seconds*1000)
		resident.add(b.Resident/1e6, a.Resident/1e6)
		live.add(b.Live/1e6, a.Live/1e6)
	}
	var versions, ages, control pairs
	both, err := openAlone(ctx, o, startTurns*o.Rounds, young, old)
	if err != nil {
		return nil, err
	}
	for i := range both.Newest[0] {
		versions.add(both.Newest[1][i]/1000, both.Newest[0][i]/1000)
		ages.add(both.Oldest[1][i]/1000, both.Newest[1][i]/1000)
		control.add(both.Oldest[0][i]/1000, both.Newest[0][i]/1000)
	}
	many := fmt.Sprintf("%d fields of %d versions", o.Fields, o.Versions)
	file, err := os.Stat(filepath.Join(old, "data", "keys.db"))
	if err != nil {
		return nil, err
	}
	return []Result{
		opening.result("opening, "+many+" / of 1 version", "ms", ""),
		resident.result("resident memory after opening, "+many+" / of 1 version", "MB", ""),
		live.result("live heap after opening, "+many+" / of 1 version", "MB", ""),
		versions.result("reveals of 100, newest of many versions / the only version", "us CPU an item", "<= 1.1"),
		ages.result("reveals of 100, oldest version / newest", "us CPU an item", "<= 1.1"),
		control.result("the same where both are of the only version, which shows how sure this is", "us CPU an item", ""),
		{Name: "the same the first time, oldest version", Figure: fmt.Sprintf("%.2f us CPU an item", both.First[1]/1000)},
		{Name: "keys.db with " + many, Figure: fmt.Sprintf("%.1f MB", float64(file.Size())/1e6)},
	}, nil
}

// makeWide makes a vault of n fields, of each the given number of versions, with
// values under the first and under the last of them.
func makeWide(ctx context.Context, dir string, n, versions int) (err error) {
	node, err := prepareKeys(ctx, dir, widePolicy(n), nil)
	if err != nil {
		return err
	}
	if err := fillWide(ctx, node.Vault, n, filepath.Join(dir, oldestTokens)); err != nil {
		return errors.Join(err, node.Close())
	}
	// What stands under an old version shall stay there.
	if err := errors.Join(node.Vault.PauseRewrap(ctx, keeper(), ""), node.Close()); err != nil {
		return err
	}
	if err := ageKeys(ctx, dir, versions); err != nil {
		return fmt.Errorf("rotate the keysets: %w", err)
	}
	if node, err = openKeys(ctx, dir, nil); err != nil {
		return err
	}
	return errors.Join(fillWide(ctx, node.Vault, n, filepath.Join(dir, newestTokens)), node.Close())
}

// fillWide stores persons with values in all fields in turn, and writes the
// tokens to a file.
func fillWide(ctx context.Context, v *vault.Vault, n int, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	q := vault.PutRequest{Collection: wideCollection}
	for i := range widePeople {
		r := vault.RecordInput{SubjectID: fmt.Sprintf("%s-%d", filepath.Base(path), i)}
		for j := range min(wideValues, n) {
			r.Fields = append(r.Fields, vault.FieldValues{
				Field:  wideField((i*wideValues + j) % n),
				Values: []vault.Given{{Value: plain.Text(fmt.Sprintf("a value of %07d", i))}},
			})
		}
		q.Records = append(q.Records, r)
	}
	results, err := v.PutRecords(ctx, vault.Caller{Principal: shopID}, q)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	for _, r := range results {
		if r.Err != nil {
			return errors.Join(r.Err, f.Close())
		}
		for _, ft := range r.Record.Fields {
			fmt.Fprintln(w, ft.Tokens[0])
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

// startTurns is in how many turns the reveals of a round are made.
const startTurns = 20

// openAlone opens vaults in a process of its own.
func openAlone(ctx context.Context, o *KeyOptions, turns int, dirs ...string) (opened, error) {
	args := append(slices.Clone(o.Command[1:]), "open", strconv.Itoa(turns), (o.Round / startTurns).String())
	c := exec.CommandContext(ctx, o.Command[0], append(args, dirs...)...) //nolint:gosec // the program starts itself
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return opened{}, fmt.Errorf("open the vault again: %w", err)
	}
	var a opened
	return a, json.Unmarshal(out, &a)
}
