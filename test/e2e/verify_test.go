// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-secrets/oci-secrets/test/rig"
)

// verifyScript gives `verify runc` a /run of its own, where runtimes and the
// state directory are, and says what is left there afterwards. With interrupt it
// is ended as soon as there is a container.
const verifyScript = `
for d in /run /sys/fs/cgroup/unified; do
	case $d in
	/run) mount -t tmpfs -o mode=755 tmpfs /run ;;
	*) if mountpoint -q $d; then umount -l $d; fi ;;
	esac
done
PATH=$1 "$2" verify runc &
if [ "$4" = interrupt ]; then
	until [ "$("$3" list -q 2>/dev/null)" ] && [ "$(ls /run/oci-secrets/verify)" ]; do kill -0 $! || break; done
	kill -TERM $!
fi
wait $!
code=$?
"$3" list -q
find /run/oci-secrets -mindepth 1 ! -name exec
exit $code
`

// verifier runs `verify runc` where only the named runtime is found.
func verifier(t *testing.T, runtime, settings, mode string) rig.Result {
	t.Helper()
	rig.NeedRoot(t)
	dir := t.TempDir()
	argv := rig.NewRuntime(t, runtime).Argv()
	program := argv[len(argv)-3] // before --root and its value
	name := strings.TrimSuffix(runtime, "-1.1")
	for link, target := range map[string]string{"/bin/oci-secrets-runtime": "oci-secrets", "/path/" + name: program, "/path/cat": "/bin/cat"} {
		if err := os.MkdirAll(filepath.Dir(dir+link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, dir+link); err != nil {
			t.Fatal(err)
		}
	}
	rig.CopyFile(t, rig.Binary(t), dir+"/bin/oci-secrets", 0o755)
	rig.WriteFile(t, dir+"/config.toml", settings, 0o600)
	if err := os.Mkdir(dir+"/tmp", 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR=" + dir + "/tmp", "OCI_SECRETS_CONFIG=" + dir + "/config.toml"}
	r := rig.RunWith(t, env, "", "unshare", "-m", "sh", "-c", verifyScript, "sh", dir+"/path", dir+"/bin/oci-secrets", program, mode)
	if left, err := os.ReadDir(dir + "/tmp"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return r
}

func TestVerify(t *testing.T) {
	const table = `CHECK                             NAME                     oci-secrets-runtime
the annotation arrived            yes                      yes
the hook ran                      yes                      yes
the first process has the secret  yes                      yes
exec has the secret               no: that needs the shim  yes
inspect does not show it          yes                      yes
refused when a secret is missing  yes                      yes
`
	for _, name := range rig.Runtimes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := verifier(t, name, "[dict]\n", "")
			want := strings.Replace(table, "NAME", strings.TrimSuffix(name, "-1.1"), 1)
			if diff := cmp.Diff(want, r.Stdout); r.Code != 0 || diff != "" || r.Stderr != "" {
				t.Errorf("exit code %d (-want +got)\n%s%s", r.Code, diff, r.Stderr)
			}
		})
	}
}

// TestVerifyAsksNobody has a Vault that does not answer, which is not asked.
func TestVerifyAsksNobody(t *testing.T) {
	r := verifier(t, rig.Runc, "[vault]\naddress = \"https://127.0.0.1:1\"\n[vault.auth]\nmethod = \"token\"\ntoken = \"x\"\n", "")
	if r.Code != 0 || !strings.Contains(r.Stdout, "the first process has the secret  yes                      yes\n") {
		t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestVerifyBroken has links of the chain that are broken.
func TestVerifyBroken(t *testing.T) {
	for name, tt := range map[string]struct {
		settings, row, stderr string
	}{
		"exec is off": {
			"[dict]\n[runtime]\nexec = \"off\"\n", "exec has the secret               no: that needs the shim  no\n",
			"oci-secrets: oci-secrets-runtime: exec does not have the secret\nhint: exec = \"off\" in the settings has this effect\n",
		},
		"no runtime": {
			"[dict]\n[runtime]\npath = \"/nowhere\"\n", "the first process has the secret  yes                      no\n",
			"oci-secrets: oci-secrets-runtime: the first process does not have the secret: refused: oci-secrets: the runtime /nowhere: stat /nowhere: it does not exist\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := verifier(t, rig.Runc, tt.settings, "")
			if r.Code != 1 || !strings.Contains(r.Stdout, tt.row) || !strings.HasPrefix(r.Stderr, tt.stderr) {
				t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
}

// TestVerifyInterrupted ends it while a container runs: nothing is left.
func TestVerifyInterrupted(t *testing.T) {
	r := verifier(t, rig.Runc, "[dict]\n", "interrupt")
	if r.Code != 1 || r.Stdout != "" || r.Stderr != "oci-secrets: interrupted\n" {
		t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
