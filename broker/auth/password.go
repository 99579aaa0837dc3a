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
	key := userKey{user: sha256.Sum256([]byte(name))}
	if addr := c.Remote.Addr(); p.friends.has(userKey{key.user, addr}) {
		key.addr = addr
	}
	if p.attempts.blocked(key) > 0 {
		return nil, &Refusal{Method: namePassword, User: name, Why: "too many wrong passwords for this user, it has to wait", err: ErrTooMany}
	}
	all := p.users.Load()
	u, known := all.byName[name]
	if !known {
		u.hash = all.decoy
	}
	right, err := p.check(ctx, name, u, c.Password)
	switch {
	case err != nil:
		return nil, err
	case !right || !known:
		p.attempts.failed(key)
		if !known {
			return nil, refuse(namePassword, name, "there is no such user")
		}
		return nil, refuse(namePassword, name, "wrong password")
	}
	p.attempts.succeeded(key)
	p.friends.add(userKey{key.user, c.Remote.Addr()})
	return &Principal{Name: name, Method: namePassword, Username: name, proof: u.stamp}, nil
}

func (p *password) check(ctx context.Context, name string, u user, password []byte) (bool, error) {
	if p.verified == nil {
		return p.checks.matches(ctx, u.hash, password)
	}
	digest := p.verified.digest(name, u.stamp, password)
	if p.verified.has(digest) {
		p.metrics.cached.WithLabelValues(namePassword).Inc()
		return true, nil
	}
	right, err := p.checks.matches(ctx, u.hash, password)
	if right && err == nil {
		p.verified.add(digest)
	}
	return right, err
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
