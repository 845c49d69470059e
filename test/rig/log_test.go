// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"
)

// Nobody asks for the lines before many more are written than the kernel holds.
func TestLogIsRead(t *testing.T) {
	const n = 200
	log := (&Runtime{}).Log(t)
	conn, err := net.DialUnix("unixgram", nil, log.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var failures, told []string
	for i := range n {
		failures, told = append(failures, fmt.Sprintf("<27>%d", i)), append(told, fmt.Sprintf("<30>%d", i))
		for _, line := range []string{failures[i], told[i]} {
			if _, err := conn.Write([]byte(line)); err != nil {
				t.Fatalf("line %d: %v", i, err)
			}
		}
	}
	if got := log.Lines(); !slices.Equal(got, failures) {
		t.Errorf("failures: %q", got)
	}
	if got := log.Deliveries(); !slices.Equal(got, told) {
		t.Errorf("deliveries: %q", got)
	}
	if got := append(log.Lines(), log.Deliveries()...); len(got) > 0 {
		t.Errorf("twice: %q", got)
	}
}
