// SPDX-License-Identifier: Apache-2.0

package resolver_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"

	"github.com/oci-secrets/oci-secrets/resolver"
)

// canary is a value that must be found in nothing that was printed, nor its
// bytes in hexadecimal or decimal.
const canary = "canary-Kx7"

func leaks(text string) bool {
	for _, form := range []string{
		canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("% x", canary),
		fmt.Sprint([]byte(canary)), fmt.Sprintf("%#v", []byte(canary)), fmt.Sprintf("%U", []rune(canary)),
	} {
		if strings.Contains(text, strings.Trim(form, "[]")) {
			return true
		}
	}
	return false
}

type valueError struct{ v resolver.Value }

func (e valueError) Error() string { return fmt.Sprintf("bad value %s", e.v) }

// holders are the ways in which a value travels.
func holders() map[string]any {
	v := resolver.NewValue(canary)
	return map[string]any{
		"value":            v,
		"pointer":          &v,
		"exported field":   struct{ V resolver.Value }{v},
		"unexported field": struct{ v resolver.Value }{v},
		"deeply": struct {
			s []struct{ m map[string]resolver.Value }
		}{[]struct{ m map[string]resolver.Value }{{map[string]resolver.Value{"k": v}}}},
		"embedded": struct{ resolver.Value }{v},
		"slice":    []resolver.Value{v},
		"array":    [1]resolver.Value{v},
		"map":      map[string]resolver.Value{"k": v},
		"map key":  map[resolver.Value]string{v: "k"},
		"any":      []any{v},
		"secret":   &resolver.Secret{Source: "dict", Entries: []resolver.Entry{{Key: "K", Value: v}}},
		"variable": resolver.Variable{Name: "K", Value: v},
		"error":    valueError{v},
		"wrapped":  fmt.Errorf("wrapped: %w", valueError{v}),
		"joined":   errors.Join(errors.New("x"), valueError{v}),
	}
}

func TestValueIsUnprintable(t *testing.T) {
	for name, x := range holders() {
		t.Run(name, func(t *testing.T) {
			check := func(way, text string) {
				t.Helper()
				if leaks(text) {
					t.Errorf("%s printed %s", way, text)
				}
			}
			for verb := range strings.SplitSeq("v +v #v s +s #s q #q +q x #x X d #d b o O c U #U e f g t p #p T w T 10.3s -20v 0x08 z", " ") {
				check("%"+verb, fmt.Sprintf("%"+verb, x))
				check("Errorf %"+verb, fmt.Errorf("%"+verb, x).Error())
			}
			check("Sprint", fmt.Sprint(x))
			check("Sprintln", fmt.Sprintln(x))
			check("an argument too many", fmt.Sprintf(strings.Repeat("x", 1), x)) //nolint:govet // on purpose
			check("a width", fmt.Sprintf("%*d", x, 1))                            //nolint:govet // on purpose
			check("an index", fmt.Sprintf("%[2]*[1]d", x, x))                     //nolint:govet // on purpose

			b, err := json.Marshal(x)
			check("json", fmt.Sprint(string(b), err))
			b, err = json.Marshal(map[string]any{"x": x})
			check("json in a map", fmt.Sprint(string(b), err))
			b, err = yaml.Marshal(x)
			check("yaml", fmt.Sprint(string(b), err))
			var buf bytes.Buffer
			err = toml.NewEncoder(&buf).Encode(map[string]any{"x": x})
			check("toml", fmt.Sprint(buf.String(), err))
			buf.Reset()
			err = gob.NewEncoder(&buf).Encode(x)
			check("gob", fmt.Sprint(buf.String(), err))

			buf.Reset()
			err = template.Must(template.New("").Parse(`{{.}} {{printf "%s %v %q %x" . . . .}} {{. | html}} {{. | js}} {{print .}}`)).Execute(&buf, x)
			check("template", fmt.Sprint(buf.String(), err))

			buf.Reset()
			slog.New(slog.NewTextHandler(&buf, nil)).Info("m", "x", x, slog.Group("g", "x", x))
			slog.New(slog.NewJSONHandler(&buf, nil)).Info("m", "x", x, slog.Group("g", "x", x))
			check("slog", buf.String())

			func() {
				defer func() { check("panic", fmt.Sprint(recover())) }()
				panic(x)
			}()
		})
	}
}

func TestValueReveals(t *testing.T) {
	if got := resolver.NewValue(canary).Reveal(); got != canary {
		t.Errorf("got %q", got)
	}
	if got := (resolver.Value{}).Reveal(); got != "" {
		t.Errorf("the zero value is %q", got)
	}
	for _, got := range []string{
		fmt.Sprint(resolver.NewValue(canary)), fmt.Sprintf("%#v", resolver.NewValue("")), fmt.Sprintf("%x", resolver.Value{}),
	} {
		if got != "[secret]" {
			t.Errorf("got %q", got)
		}
	}
}
