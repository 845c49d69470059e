// SPDX-License-Identifier: Apache-2.0

// Command payload is the program of the containers under test. It reports what
// it sees of itself as one JSON object on standard output.
//
//	payload report [ANY ARGUMENT ...]    report and exit
//	payload mark FILE                    write the report to FILE and exit
//	payload wait FILE                    write the report to FILE, wait for SIGTERM
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Report is what the program sees.
type Report struct {
	PID     int      `json:"pid"`
	UID     int      `json:"uid"`
	EUID    int      `json:"euid"`
	Args    int      `json:"args"`    // number of arguments
	Env     []string `json:"env"`     // what the program was started with
	Environ []string `json:"environ"` // what the kernel says in /proc/self/environ
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		os.Exit(99)
	}
}

func run() error {
	environ, err := os.ReadFile("/proc/self/environ")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r := Report{
		PID: os.Getpid(), UID: os.Getuid(), EUID: os.Geteuid(), Args: len(os.Args), Env: os.Environ(),
		Environ: strings.FieldsFunc(string(environ), func(r rune) bool { return r == 0 }),
	}
	if len(os.Args) < 2 || os.Args[1] == "report" {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	mark := os.Args[1] == "mark"
	if !mark && os.Args[1] != "wait" || len(os.Args) != 3 {
		return fmt.Errorf("unknown command %q", os.Args[1:])
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(os.Args[2]+".new", b, 0o644); err != nil {
		return err
	}
	if err := os.Rename(os.Args[2]+".new", os.Args[2]); err != nil {
		return err
	}
	if !mark {
		<-term
	}
	return nil
}
