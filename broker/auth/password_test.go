package auth_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/topicwire/topicwire/broker/auth"
)

// cheapHash costs so little that the tests are quick.
const cheapHash = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$/U3cECKyhvaRj2nFP0qWVfpTkM2aS+MKM7cSFFfEsrM"

// passwords writes a file with users and passwords.
func passwords(tb testing.TB, userPassword ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "passwords")
	f := auth.NewPasswordFile(path)
	for i := 0; i < len(userPassword); i += 2 {
		if _, err := f.Set(userPassword[i], []byte(userPassword[i+1])); err != nil {
			tb.Fatal(err)
		}
	}
	if err := f.Write(); err != nil {
		tb.Fatal(err)
	}
	return path
}

func passwordConfig(path string) auth.Config {
	return auth.Config{Methods: []auth.MethodConfig{{Password: &auth.PasswordConfig{File: path}}}}
}

func TestPasswordLetsInWhoKnowsIt(t *testing.T) {
	t.Parallel()
	b := start(t, passwordConfig(passwords(t, "ada", "right", "grace", "other")), auth.Options{})
	if p := b.lets(login("ada", "right"), "ada"); p.Username != "ada" || p.Method != "password" {
		t.Errorf("%+v", p)
	}
	b.refuses(login("ada", "wrong"), auth.ErrRefused)
	b.refuses(login("ada", "other"), auth.ErrRefused)
	b.refuses(login("ada", ""), auth.ErrRefused)
	b.refuses(login("nobody", "right"), auth.ErrRefused)
	b.refuses(login("", "right"), auth.ErrRefused)
	b.refuses(&auth.Credentials{}, auth.ErrNotMine)
	b.refuses(&auth.Credentials{Username: "ada", HasUsername: true}, auth.ErrNotMine) // no password
	log := b.log.String()
	for _, want := range []string{"wrong password", "there is no such user", `"user":"ada"`, "credentials refused"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	for _, secret := range []string{"right", "other", "$argon2"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
}

func TestPasswordFileRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	f := auth.NewPasswordFile("x")
	for _, name := range []string{"", "a:b", "a\nb", "#a", " a", strings.Repeat("x", 65536), "\xff"} {
		if _, err := f.Set(name, []byte("x")); err == nil {
			t.Errorf("%.20q can be a user name", name)
		}
	}
	for _, p := range []string{"", "a\x00b"} {
		if _, err := f.Set("ada", []byte(p)); err == nil {
			t.Errorf("%q can be a password", p)
		}
	}
}

func TestPasswordFileErrorsSayWhereAndNoSecrets(t *testing.T) {
	t.Parallel()
	good := strings.TrimSpace(mustRead(t, passwords(t, "ada", "x")))
	for _, c := range []struct{ text, want string }{
		{"ada", ":1: is no user: a line is name:hash"},
		{"# users\n\n:hash", ":3: is no user"},
		{"ada:plaintext", `:1: the password of user "ada" is no argon2id or bcrypt hash`},
		{"ada:$2b$10$short", "is no argon2id or bcrypt hash"},
		{"ada:$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", "asks for 99999999 KiB"},
		{"ada:$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", "is no argon2id"},
		{"ada:$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", "is no argon2id"},
		{"ada:$7$99999999$c2FsdHNhbHQ=$c2FsdHNhbHRzYWx0c2FsdA==", "asks for 99999999 rounds"},
		{good + "\n" + good, `:2: user "ada" is there twice, first in line 1`},
	} {
		_, err := auth.ReadPasswordFile(write(t, "p", c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "plaintext") {
			t.Errorf("the error shows what may be a password: %v", err)
		}
	}
}

func mustRead(tb testing.TB, path string) string {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func TestPasswordFileKeepsCommentsAndPermissions(t *testing.T) {
	t.Parallel()
	path := passwords(t, "ada", "x")
	rewrite(t, path, "# ours\n\n"+mustRead(t, path))
	f, err := auth.ReadPasswordFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if existed, err := f.Set("ada", []byte("y")); !existed || err != nil {
		t.Fatal(existed, err)
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	if text := mustRead(t, path); !strings.HasPrefix(text, "# ours\n\nada:$argon2id$") || strings.Count(text, "\n") != 3 {
		t.Errorf("the file is now %q", text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v, want 0600", info.Mode(), err)
	}
	if !f.Matches("ada", []byte("y")) || f.Matches("ada", []byte("x")) || f.Matches("", []byte("x")) {
		t.Error("the new password is not the one that counts")
	}
	if !f.Delete("ada") || f.Delete("ada") || len(f.Users()) != 0 {
		t.Error("a user could not be deleted, or twice")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestChangedPasswordFileIsReloaded(t *testing.T) {
	t.Parallel()
	path := passwords(t, "ada", "old", "grace", "hers")
	b := start(t, passwordConfig(path), auth.Options{})
	ada, grace := b.lets(login("ada", "old"), "ada"), b.lets(login("grace", "hers"), "grace")
	text := mustRead(t, path)

	rewrite(t, path, "ada:not a hash\n")
	if err := b.Reload(); err == nil {
		t.Error("a broken file was taken")
	}
	b.lets(login("ada", "old"), "ada")

	f, err := auth.ReadPasswordFile(write(t, "p", text))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Set("ada", []byte("new"))
	f.Delete("grace")
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	// Write went elsewhere: bring it here, as a deployment would.
	rewrite(t, path, strings.Split(text, "\n")[0]+"\n")
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	b.lets(login("ada", "old"), "ada")
	b.refuses(login("grace", "hers"), auth.ErrRefused) // also out of the cache
	if err := b.Recheck(ada); err != nil {
		t.Errorf("ada has to go: %v", err)
	}
	if err := b.Recheck(grace); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("grace was deleted and may stay: %v", err)
	}
	next := passwords(t, "ada", "new")
	rewrite(t, path, mustRead(t, next))
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	b.refuses(login("ada", "old"), auth.ErrRefused)
	if err := b.Recheck(ada); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("ada has another password and may stay: %v", err)
	}
	b.load(auth.Config{})
	if err := b.Recheck(grace); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("the method is gone and grace may stay: %v", err)
	}
}

func TestWrongPasswordsHaveToWait(t *testing.T) {
	t.Parallel()
	b := start(t, passwordConfig(passwords(t, "ada", "right")), auth.Options{})
	b.lets(from("198.51.100.1", "ada", "right"), "ada") // ada's own address
	for i := range 10 {
		b.refuses(from(fmt.Sprintf("192.0.2.%d", i), "ada", "wrong"), auth.ErrRefused)
	}
	// The eleventh is not looked at, right or wrong, wherever it comes from ...
	b.refuses(from("192.0.2.200", "ada", "right"), auth.ErrTooMany)
	// ... but from where ada has been before.
	b.lets(from("198.51.100.1", "ada", "right"), "ada")
	b.advance(2 * time.Second)
	b.lets(from("192.0.2.200", "ada", "right"), "ada")
	// Unknown users are held up the same way: nothing tells them apart.
	for i := range 10 {
		b.refuses(from(fmt.Sprintf("192.0.2.%d", 100+i), "nobody", "wrong"), auth.ErrRefused)
	}
	b.refuses(from("192.0.2.201", "nobody", "wrong"), auth.ErrTooMany)
}

func TestAddressesHaveToWait(t *testing.T) {
	t.Parallel()
	b := start(t, passwordConfig(write(t, "p", "ada:"+cheapHash+"\n")), auth.Options{})
	attacker := "2001:db8::1"
	for i := range 20 {
		b.refuses(from(attacker, fmt.Sprintf("u%d", i), "wrong"), auth.ErrRefused)
	}
	b.refuses(from("2001:db8::2", "ada", "secret"), auth.ErrTooMany) // the same /64
	b.refuses(from("2001:db8:0:1::2", "ada", "wrong"), auth.ErrRefused)
	b.advance(time.Second)
	b.refuses(from(attacker, "u1", "wrong"), auth.ErrRefused)
	b.advance(time.Second)
	b.refuses(from(attacker, "u1", "wrong"), auth.ErrTooMany) // the wait has doubled
	b.advance(10 * time.Minute)
	b.refuses(from(attacker, "u1", "wrong"), auth.ErrRefused)
	for i := range 100 { // loopback may be a proxy for everybody
		b.refuses(from("127.0.0.1", fmt.Sprintf("u%d", i), "wrong"), auth.ErrRefused)
	}
	if n := strings.Count(b.log.String(), "credentials refused"); n > 60 {
		t.Errorf("%d lines in the log", n)
	}
}

// 10,000 wrong passwords: none gets in, the log stays short, and somebody else is not
// held up by the hashes, of which a few run at a time.
func TestFloodOfWrongPasswords(t *testing.T) {
	t.Parallel()
	b := start(t, passwordConfig(passwords(t, "ada", "right", "grace", "hers")), auth.Options{})
	b.lets(from("198.51.100.1", "grace", "hers"), "grace")
	var wg sync.WaitGroup
	got := make(chan error, 10_000)
	for w := range 50 {
		wg.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				_, err := b.Authenticate(ctx, from(fmt.Sprintf("10.%d.%d.1", w, i), "ada", fmt.Sprintf("guess%d", i)))
				cancel()
				got <- err
			}
		})
	}
	for range 100 {
		b.lets(from("198.51.100.1", "grace", "hers"), "grace")
	}
	wg.Wait()
	close(got)
	tooMany := 0
	for err := range got {
		switch {
		case err == nil:
			t.Fatal("a guess got in")
		case errors.Is(err, auth.ErrTooMany):
			tooMany++
		}
	}
	if tooMany < 9000 {
		t.Errorf("%d of 10000 were turned away without a hash", tooMany)
	}
	if n := strings.Count(b.log.String(), "\n"); n > 100 {
		t.Errorf("%d lines in the log", n)
	}
}

// The file of the server's own user stays readable for it, whoever changes a password.
func TestPasswordFileKeepsItsOwner(t *testing.T) {
	t.Parallel()
	path := passwords(t, "ada", "x")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	owner := os.Geteuid()
	if owner == 0 { // only root can give a file away
		owner = 12345
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	f, err := auth.ReadPasswordFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Set("ada", []byte("y")); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || int(s.Uid) != owner || info.Mode().Perm() != 0o640 {
		t.Errorf("the file is %d's, %v; want %d's, 0640", s.Uid, info.Mode(), owner)
	}
}
