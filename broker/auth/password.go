package auth

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// PasswordConfig are the settings of the method password.
type PasswordConfig struct {
	File  string        `yaml:"file" jsonschema:"required,example=passwords" jsonschema_description:"The file with the users: a line name:hash for each, the hash argon2id or bcrypt. Reloaded when it changes."`
	Cache time.Duration `yaml:"cache" jsonschema:"example=5m" jsonschema_description:"How long a right password is recognised without hashing it again, 5m by default, -1s = never. What is kept is a keyed digest, in memory only."`
}

// Check reports a file that is none.
func (c PasswordConfig) Check(report func(path, problem, remedy string)) {
	if c.File == "" {
		report("file", "is empty", "name the file that topicwire passwd FILE USER writes")
	}
	if c.Cache > 24*time.Hour {
		report("cache", c.Cache.String()+" is more than a day", "write at most 24h: a digest in memory is easier to guess from than a hash")
	}
}

// defaultCache is how long a right password is recognised.
const defaultCache = 5 * time.Minute

// password is the method that looks users up in a file.
type password struct {
	cfg      PasswordConfig
	checks   *hashGate
	metrics  *metrics
	now      func() time.Time
	verified *verified // nil = nothing is kept
	users    atomic.Pointer[users]
	attempts *attempts[userKey]
	friends  *friends

	reading sync.Mutex
}

// userKey is whose wrong passwords are counted together: those for one user name from
// all strangers, and those from each address that the user is known to use.
type userKey struct {
	user [sha256.Size]byte
	addr netip.Addr // zero for strangers
}

func newPassword(cfg PasswordConfig, limits BruteForceConfig, checks *hashGate, m *metrics, now func() time.Time) (*password, error) {
	p := &password{
		cfg: cfg, checks: checks, metrics: m, now: now,
		attempts: newAttempts[userKey](limits.PerUser, limits, now), friends: newFriends(now),
	}
	switch {
	case cfg.Cache == 0:
		p.verified = newVerified(defaultCache, now)
	case cfg.Cache > 0:
		p.verified = newVerified(cfg.Cache, now)
	}
	return p, p.reload()
}

func (p *password) files() []string { return []string{p.cfg.File} }

func (p *password) reload() error {
	p.reading.Lock()
	defer p.reading.Unlock()
	f, err := ReadPasswordFile(p.cfg.File)
	if err != nil {
		return err
	}
	p.users.Store(f.users())
	return nil
}

// Authenticate looks at a user name with a password. A user that the file does not have
// is refused, in the same time as one with a wrong password.
func (p *password) Authenticate(ctx context.Context, c *Credentials) (*Principal, error) {
	if !c.HasUsername || c.Password == nil || looksLikeToken(string(c.Password)) || namesAuthorizer(c.Username) {
		return nil, ErrNotMine
	}
	name := c.Username
	key, line := userKey{user: sha256.Sum256([]byte(name))}, lineOfStrangers
	if addr := c.Remote.Addr(); p.friends.has(userKey{key.user, addr}) {
		key.addr, line = addr, lineOfFriends
	}
	if p.attempts.blocked(key) > 0 {
		return nil, tooManyForUser(name)
	}
	all := p.users.Load()
	u, known := all.byName[name]
	try := attempted{name: name, key: key, line: line, hash: u.hash, password: c.Password}
	if !known {
		// What comes of it means nothing, and is not remembered: the next attempt would take less
		// time if the password were that of the user whose hash it is.
		try.hash = all.decoy
		if _, err := p.hashed(ctx, &try, false); err != nil {
			return nil, err
		}
		return nil, refuse(namePassword, name, "there is no such user")
	}
	right, err := p.check(ctx, &try, u)
	switch {
	case err != nil:
		return nil, err
	case !right:
		return nil, refuse(namePassword, name, "wrong password")
	}
	p.attempts.succeeded(key)
	p.friends.add(userKey{key.user, c.Remote.Addr()})
	return &Principal{Name: name, Method: namePassword, Username: name, proof: u.stamp}, nil
}

// attempted is a password that somebody shows.
type attempted struct {
	name     string
	key      userKey
	line     int // of the hashGate
	hash     passwordHash
	password []byte
}

func tooManyForUser(name string) error {
	return &Refusal{Method: namePassword, User: name, Why: "too many wrong passwords for this user, it has to wait", err: ErrTooMany}
}

// check reports whether a password is that of a user; it need not be hashed if it was
// right shortly before.
func (p *password) check(ctx context.Context, try *attempted, u user) (bool, error) {
	if p.verified == nil {
		return p.hashed(ctx, try, true)
	}
	digest := p.verified.digest(try.name, u.stamp, try.password)
	if p.verified.has(digest) {
		p.metrics.cached.WithLabelValues(namePassword).Inc()
		return true, nil
	}
	right, err := p.hashed(ctx, try, true)
	if right && err == nil {
		p.verified.add(digest)
	}
	return right, err
}

// hashed computes whether a password fits a hash, when it is its turn, and counts the
// attempt if not, or if the hash is nobody's. Attempts that come at once are no way round
// the limit: whoever has waited is looked at only if there were not too many meanwhile.
func (p *password) hashed(ctx context.Context, try *attempted, known bool) (right bool, err error) {
	if err := p.checks.enter(ctx, try.line); err != nil {
		return false, err
	}
	defer p.checks.leave()
	if p.attempts.blocked(try.key) > 0 {
		return false, tooManyForUser(try.name)
	}
	p.metrics.hashes.Inc()
	if right = try.hash.matches(try.password) && known; !right {
		p.attempts.failed(try.key)
	}
	return right, nil
}

// recheck finds users who were deleted or got another password.
func (p *password) recheck(pr *Principal) error {
	u, ok := p.users.Load().byName[pr.Name]
	switch stamp, _ := pr.proof.([sha256.Size]byte); {
	case !ok:
		return refuse(namePassword, pr.Name, "the user was deleted")
	case u.stamp != stamp:
		return refuse(namePassword, pr.Name, "the password was changed")
	}
	return nil
}
