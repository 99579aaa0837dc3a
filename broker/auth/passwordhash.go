package auth

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// passwordHash is a password as a file keeps it.
type passwordHash interface{ matches(password []byte) bool }

var errHash = errors.New("is no argon2id or bcrypt hash")

// parseHash reads "$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH" (the PHC string format), a
// bcrypt hash, "$2b$10$...", as htpasswd -B writes them, or "$7$101$SALT$HASH", as
// mosquitto_passwd does (PBKDF2 with HMAC-SHA-512).
func parseHash(s string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon2(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		cost, err := bcrypt.Cost([]byte(s))
		if err != nil || len(s) != 60 {
			return nil, errHash
		}
		if cost > maxBcryptCost {
			return nil, fmt.Errorf("has a bcrypt cost of %d: more than %d takes seconds to check", cost, maxBcryptCost)
		}
		return bcryptHash(s), nil
	case strings.HasPrefix(s, "$7$"):
		return parsePBKDF2(s)
	default:
		return nil, errHash
	}
}

// pbkdf2Hash is a hash of mosquitto's.
type pbkdf2Hash struct {
	iterations int
	salt, hash []byte
}

func (h *pbkdf2Hash) matches(password []byte) bool {
	got, err := pbkdf2.Key(sha512.New, string(password), h.salt, h.iterations, len(h.hash))
	return err == nil && subtle.ConstantTimeCompare(got, h.hash) == 1
}

func parsePBKDF2(s string) (*pbkdf2Hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 5 {
		return nil, errHash
	}
	n, err := strconv.Atoi(parts[2])
	salt, err1 := base64.StdEncoding.DecodeString(parts[3])
	hash, err2 := base64.StdEncoding.DecodeString(parts[4])
	switch {
	case err != nil, err1 != nil, err2 != nil, n < 1, len(salt) < 8, len(hash) < 16, len(hash) > 128:
		return nil, errHash
	case n > maxPBKDF2:
		return nil, fmt.Errorf("asks for %d rounds: the most are %d", n, maxPBKDF2)
	}
	return &pbkdf2Hash{n, salt, hash}, nil
}

type bcryptHash string

func (h bcryptHash) matches(password []byte) bool {
	return bcrypt.CompareHashAndPassword([]byte(h), password) == nil
}

// argon2Hash is an argon2id hash (RFC 9106) and how it was made.
type argon2Hash struct {
	time, memory uint32 // memory in KiB
	threads      uint8
	salt, hash   []byte
}

// What new hashes cost: OWASP's least recommendation, about 20 ms and 19 MB. Devices
// whose passwords are long and random need no more.
const (
	argon2Time    = 2
	argon2Memory  = 19 * 1024
	argon2Threads = 1
	argon2Salt    = 16
	argon2Length  = 32
)

// What a file may ask of us; a check beyond would be an attack on ourselves.
const (
	maxArgon2Memory = 256 * 1024
	maxArgon2Time   = 16
	maxBcryptCost   = 14
	maxPBKDF2       = 1_000_000
)

func (h *argon2Hash) matches(password []byte) bool {
	got := argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.hash)))
	return subtle.ConstantTimeCompare(got, h.hash) == 1
}

func (h *argon2Hash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.hash))
}

func parseArgon2(s string) (*argon2Hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, errHash
	}
	h := &argon2Hash{}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); n != 3 || err != nil {
		return nil, errHash
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	h.hash, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case err1 != nil, err2 != nil, len(h.salt) < 8, len(h.hash) < 16, len(h.hash) > 128, h.time == 0, h.threads == 0:
		return nil, errHash
	case h.memory > maxArgon2Memory, h.time > maxArgon2Time:
		return nil, fmt.Errorf("asks for %d KiB and %d rounds: the most are %d and %d", h.memory, h.time, maxArgon2Memory, maxArgon2Time)
	}
	return h, nil
}

// HashPassword makes an argon2id hash of a password, as a password file keeps it.
func HashPassword(password []byte) string {
	h := &argon2Hash{time: argon2Time, memory: argon2Memory, threads: argon2Threads, salt: make([]byte, argon2Salt)}
	_, _ = rand.Read(h.salt) // it never fails
	h.hash = argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, argon2Length)
	return h.String()
}
