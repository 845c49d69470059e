// SPDX-License-Identifier: Apache-2.0

// The runtime need not follow the control group's share of processors, for which
// it would keep files open, also in the tracer that waits beside a container.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command oci-secrets gives containers the secrets that their annotations
// name. README.md describes every command.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/oci-secrets/oci-secrets/hook/report"
	"github.com/oci-secrets/oci-secrets/hook/shim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if name, ok := shim.Named(os.Args[0]); ok {
		code, _ := shim.Run(ctx, name, os.Args[1:], openVault) // which has told the error
		os.Exit(code)
	}
	if err := newApp(report.Writer{W: os.Stdout}).RunContext(ctx, os.Args); err != nil {
		os.Exit(report.Error(os.Stderr, err))
	}
}
