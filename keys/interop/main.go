// Command interop is github.com/google/tink/go v1.7.0, the last release of
// Tink's archived home, as a program. The tests of package keys run it to
// prove that keysets and ciphertexts go both ways between that release and
// what the vault uses today. It is a module and a process of its own, since
// both releases in one binary panic over the names of their messages.
//
//	interop make  < request  > exchange   keysets and ciphertexts of v1.7.0
//	interop check < exchange > exchange   opens all, answers with ciphertexts of its own
//
// The request is an exchange without keysets. The program ends with status 1
// and says on standard error what does not open.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: interop make|check")
	}
	var x exchange
	if err := json.NewDecoder(in).Decode(&x); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	var err error
	switch args[0] {
	case "make":
		err = x.make()
	case "check":
		err = x.check()
	default:
		err = fmt.Errorf("unknown command %q", args[0])
	}
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", " ")
	return enc.Encode(&x)
}
