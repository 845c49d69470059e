// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/oci-secrets/oci-secrets/hook/report"
)

// completions ask the program itself, which urfave/cli answers: with flags where
// the last word begins like one, and else with words. It is not told more than
// the - of the word that is being completed, because -- would end the flags, and
// the shells choose among the answers.
var completions = map[string]string{
	"bash": `_oci_secrets() {
  local words cur=${COMP_WORDS[COMP_CWORD]} line=("${COMP_WORDS[@]:0:COMP_CWORD}")
  [[ $cur != -* ]] || line+=(-)
  words=$("${line[@]}" --generate-bash-completion 2>/dev/null </dev/null)
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _oci_secrets oci-secrets
`,
	"zsh": `#compdef oci-secrets
_oci_secrets() {
  local -a line answers
  line=("${(@)words[1,CURRENT-1]}")
  [[ ${words[CURRENT]} != -* ]] || line+=(-)
  answers=("${(@f)$("${line[@]}" --generate-bash-completion 2>/dev/null </dev/null)}")
  compadd -a answers
  _files
}
compdef _oci_secrets oci-secrets
`,
	"fish": `function __oci_secrets
  set -l line (commandline -opc)
  string match -q -- '-*' (commandline -ct); and set -a line -
  $line --generate-bash-completion 2>/dev/null </dev/null
end
complete -c oci-secrets -a '(__oci_secrets)'
`,
}

// words completes a command's only argument.
func words(list ...string) cli.BashCompleteFunc {
	return func(c *cli.Context) {
		if args := os.Args; len(args) > 2 && strings.HasPrefix(args[len(args)-2], "-") {
			cli.DefaultCompleteWithFlags(c.Command)(c)
			return
		}
		_, _ = fmt.Fprintln(c.App.Writer, strings.Join(list, "\n")) // the shell asks again
	}
}

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print the completion script of a shell",
		ArgsUsage: "bash|zsh|fish", OnUsageError: usageError, HideHelpCommand: true,
		BashComplete: words("bash", "zsh", "fish"),
		Action: func(c *cli.Context) error {
			script, ok := completions[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return report.Usage("completion takes bash, zsh or fish")
			}
			_, err := fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}
