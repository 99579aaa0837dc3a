package auth

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// PasswordFile is a file with one user a line, "name:hash", as htpasswd writes it.
// Empty lines and those that begin with # mean nothing, and stay.
type PasswordFile struct {
	path  string
	lines []passwordLine
}

type passwordLine struct {
	text string
	user string // "" = no user
	hash passwordHash
}

// maxPasswordFile is how large a file may be; a million users take 130 MB.
const maxPasswordFile = 256 << 20

// ReadPasswordFile reads a file. The error names the line that is wrong, and nothing
// of what stands in it but the user's name.
func ReadPasswordFile(path string) (*PasswordFile, error) {
	f := &PasswordFile{path: path}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxPasswordFile {
		return nil, fmt.Errorf("auth: %s is larger than %d MB", path, maxPasswordFile>>20)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: cannot read the passwords: %w", err)
	}
	seen := make(map[string]int)
	number := 0
	for text := range strings.Lines(string(data)) {
		number++
		l, err := parsePasswordLine(strings.TrimRight(text, "\r\n"))
		if err == nil && l.user != "" && seen[l.user] > 0 {
			err = fmt.Errorf("user %.100q is there twice, first in line %d", l.user, seen[l.user])
		}
		if err != nil {
			return nil, fmt.Errorf("auth: %s:%d: %w (write lines with: topicwire passwd %s USER)", path, number, err, path)
		}
		if l.user != "" {
			seen[l.user] = number
		}
		f.lines = append(f.lines, l)
	}
	return f, nil
}

var errPasswordLine = errors.New("is no user: a line is name:hash")

func parsePasswordLine(text string) (passwordLine, error) {
	l := passwordLine{text: text}
	if t := strings.TrimSpace(text); t == "" || t[0] == '#' {
		return l, nil
	}
	user, hash, ok := strings.Cut(text, ":")
	if !ok || user == "" || !utf8.ValidString(user) {
		return l, errPasswordLine
	}
	h, err := parseHash(strings.TrimSpace(hash))
	if err != nil {
		return l, fmt.Errorf("the password of user %.100q %w", user, err)
	}
	l.user, l.hash = user, h
	return l, nil
}

// Users are the names, in the file's order.
func (f *PasswordFile) Users() []string {
	var users []string
	for _, l := range f.lines {
		if l.user != "" {
			users = append(users, l.user)
		}
	}
	return users
}

// Set gives a user a password, and reports whether there was such a user.
func (f *PasswordFile) Set(user string, password []byte) (existed bool, err error) {
	switch {
	case user == "", strings.ContainsAny(user, ":\r\n"), user[0] == '#', !utf8.ValidString(user), strings.TrimSpace(user) != user:
		return false, fmt.Errorf("auth: %.100q can be no user name here: it must not be empty, begin with #, or contain a colon, a line break or blanks at its ends", user)
	case len(user) > 65535:
		return false, errors.New("auth: the user name is longer than MQTT can carry, 65535 bytes")
	case len(password) == 0:
		return false, errors.New("auth: the password is empty")
	case bytes.IndexByte(password, 0) >= 0:
		return false, errors.New("auth: the password has a NUL in it")
	}
	text := HashPassword(password)
	h, err := parseHash(text)
	if err != nil {
		return false, err
	}
	line := passwordLine{text: user + ":" + text, user: user, hash: h}
	for i := range f.lines {
		if f.lines[i].user == user {
			f.lines[i] = line
			return true, nil
		}
	}
	f.lines = append(f.lines, line)
	return false, nil
}

// Delete removes a user, and reports whether there was one.
func (f *PasswordFile) Delete(user string) bool {
	before := len(f.lines)
	f.lines = slices.DeleteFunc(f.lines, func(l passwordLine) bool { return user != "" && l.user == user })
	return len(f.lines) < before
}

// Matches reports whether the password is the user's.
func (f *PasswordFile) Matches(user string, password []byte) bool {
	for _, l := range f.lines {
		if user != "" && l.user == user {
			return l.hash.matches(password)
		}
	}
	return false
}

// NewPasswordFile is a file without users that Write will make.
func NewPasswordFile(path string) *PasswordFile { return &PasswordFile{path: path} }

// Write replaces the file at once: whoever reads it meanwhile, or after a crash, finds the
// old one or the new one, whole. A new file can be read by its owner alone; one that was
// there keeps its owner, its group and its permissions.
func (f *PasswordFile) Write() error {
	path := f.path
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link stays
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // made with 0600
	if err != nil {
		return fmt.Errorf("auth: cannot write the passwords: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // it is gone once it is renamed
	var b strings.Builder
	for _, l := range f.lines {
		b.WriteString(l.text + "\n")
	}
	_, err = tmp.WriteString(b.String())
	if info, statErr := os.Stat(path); statErr == nil && err == nil {
		err = giveTo(tmp, info)
	}
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("auth: cannot write the passwords: %w", err)
	}
	return nil
}

// users is a file's content as the method looks it up.
type users struct {
	byName map[string]user
	decoy  passwordHash // what the password of an unknown user is compared with
}

type user struct {
	hash  passwordHash
	stamp [sha256.Size]byte // of the line: another password, another stamp
}

func (f *PasswordFile) users() *users {
	u := &users{byName: make(map[string]user)}
	for _, l := range f.lines {
		if l.user == "" {
			continue
		}
		u.byName[l.user] = user{l.hash, sha256.Sum256([]byte(l.text))}
		if u.decoy == nil {
			u.decoy = l.hash // as costly as the others
		}
	}
	if u.decoy == nil {
		u.decoy = &argon2Hash{time: argon2Time, memory: argon2Memory, threads: argon2Threads, salt: make([]byte, argon2Salt), hash: make([]byte, argon2Length)}
	}
	return u
}
