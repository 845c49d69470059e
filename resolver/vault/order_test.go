// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrder(t *testing.T) {
	addresses, err := checkAddresses([]string{"https://a:8200", "https://b:8200", "https://C"})
	if err != nil {
		t.Fatal(err)
	}
	s := newServers(addresses)
	for _, tt := range []struct {
		prefer string
		want   []int
	}{
		{"https://b:8200", []int{1, 2, 0}},
		{"https://elsewhere:8200", []int{1, 2, 0}},
		{"", []int{1, 2, 0}},
		{"https://C", []int{2, 0, 1}},
		{"https://a:8200", []int{0, 1, 2}},
	} {
		s.prefer(tt.prefer)
		if diff := cmp.Diff(tt.want, s.order()); diff != "" {
			t.Errorf("%s: %s", tt.prefer, diff)
		}
	}

	// A redirect's host, in whatever way it is written.
	for to, want := range map[string]int{
		"https://c": 2, "https://c:443": 2, "https://C:443/v1/x": 2, "https://a:8200": 0,
		"http://c:443": -1, "http://a:8200": -1, "https://a": -1, "https://a:8201": -1, "//a:8200": -1, "https://a.b:8200": -1, "": -1,
	} {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		if i, ok := s.at(u); i != want || ok != (want >= 0) {
			t.Errorf("%s is server %d, want %d", to, i, want)
		}
	}
}
