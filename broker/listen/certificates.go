package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// Certificates is a server certificate kept in files, and what decides on those of
// clients. Run reloads both when the files change; connections that are open keep what
// they have. Files that cannot be used leave what was read before in place.
type Certificates struct {
	cfg     TLSConfig
	log     zerolog.Logger
	current atomic.Pointer[tls.Certificate]
	clients atomic.Pointer[clientTrust] // nil = clients are asked for none
	changed func()                      // told when clients has changed

	mu   sync.Mutex
	pem  [2][]byte // the files' contents when last read
	seen []byte    // the same of clients
}

// NewCertificates loads the files. The error says which one is wrong and how.
func NewCertificates(cfg TLSConfig, log zerolog.Logger) (*Certificates, error) {
	c := &Certificates{cfg: cfg, log: log}
	if _, err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// OnClientsChanged sets a func that is called when other client certificates are good
// than before, so that connections can be asked about again. Set it before Run.
func (c *Certificates) OnClientsChanged(f func()) { c.changed = f }

// TLSConfig serves whatever certificate is current, with TLS 1.2 or later and the
// cipher suites that crypto/tls thinks safe. It is for MQTT: of the protocols that a
// client may offer (ALPN) it knows those of AWS IoT. Each call makes a new one.
func (c *Certificates) TLSConfig() *tls.Config {
	return c.config(alpnMQTTCertificate, alpnMQTT)
}

// SharedTLSConfig is TLSConfig for a port on which HTTP and MQTT are spoken: see [Shared].
func (c *Certificates) SharedTLSConfig() *tls.Config {
	return c.config(alpnMQTTCertificate, alpnMQTT, alpnHTTPCertificate, alpnHTTP)
}

func (c *Certificates) config(protocols ...string) *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
	c.complete(cfg)
	return cfg
}

// Valid says from when until when the server's certificate is good.
func (c *Certificates) Valid() (from, until time.Time) {
	leaf := c.current.Load().Leaf
	return leaf.NotBefore, leaf.NotAfter
}

// Reload reads the files now and reports whether they held something new. After an
// error what was read before stays in use.
func (c *Certificates) Reload() (changed bool, err error) {
	c.mu.Lock()
	own, err1 := c.reloadOwn()
	clients, err2 := c.reloadClients()
	c.mu.Unlock()
	if clients && c.changed != nil {
		c.changed()
	}
	return own || clients, errors.Join(err1, err2)
}

// reloadOwn reads the server's certificate; c.mu is held.
func (c *Certificates) reloadOwn() (changed bool, err error) {
	cert, err := os.ReadFile(c.cfg.Cert)
	if err != nil {
		return false, fmt.Errorf("listen: cannot read the certificate: %w", err)
	}
	key, err := os.ReadFile(c.cfg.Key)
	if err != nil {
		return false, fmt.Errorf("listen: cannot read the certificate's key: %w", err)
	}
	if bytes.Equal(cert, c.pem[0]) && bytes.Equal(key, c.pem[1]) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("listen: %s and %s are no usable pair: %w", c.cfg.Cert, c.cfg.Key, err)
	}
	c.pem = [2][]byte{cert, key}
	c.current.Store(&pair)
	return true, nil
}

// reloadClients reads what decides on client certificates; c.mu is held.
func (c *Certificates) reloadClients() (changed bool, err error) {
	if !c.cfg.AsksClients() {
		return false, nil
	}
	var seen bytes.Buffer
	t, err := c.cfg.clientTrust(&seen)
	if err != nil || c.seen != nil && bytes.Equal(seen.Bytes(), c.seen) {
		return false, err
	}
	if !t.stale.IsZero() && t.stale.Before(time.Now()) {
		c.log.Warn().Str("client_crl", c.cfg.ClientCRL).Time("due", t.stale).Msg("the revocation list is out of date: what was revoked since is not known")
	}
	c.seen = seen.Bytes()
	c.clients.Store(t)
	return true, nil
}

const (
	// settle is how long the files have to be quiet: certificate and key are written
	// one after the other, and only together they are a pair.
	settle = 200 * time.Millisecond
	// lookAnyway is for file systems that report no changes.
	lookAnyway = time.Minute
)

// Run reloads the certificate whenever its files, or the symbolic links that lead to
// them, change (Kubernetes swaps a link), until ctx ends; then it returns nil.
func (c *Certificates) Run(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("listen: cannot watch the certificate's files: %w", err)
	}
	defer func() { _ = w.Close() }()
	c.watch(w)
	// What changed between loading and watching.
	c.reloadAndLog()
	quiet := time.NewTimer(0)
	if !quiet.Stop() {
		<-quiet.C
	}
	defer quiet.Stop()
	look := time.NewTicker(lookAnyway)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			quiet.Reset(settle)
		case err := <-w.Errors:
			c.log.Warn().Err(err).Msg("watching the certificate's files")
			quiet.Reset(settle)
		case <-quiet.C:
			c.reloadAndLog()
			c.watch(w)
		case <-look.C:
			c.reloadAndLog()
			c.watch(w)
		}
	}
}

// watch looks at the folders, not the files: a file that is replaced is another one.
func (c *Certificates) watch(w *fsnotify.Watcher) {
	for _, path := range c.cfg.Paths() {
		file := *path
		if file == "" {
			continue
		}
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			file = filepath.Join(file, "x") // what is in it
		}
		dirs := []string{filepath.Dir(file)}
		if real, err := filepath.EvalSymlinks(file); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
		for _, dir := range dirs {
			if err := w.Add(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
				c.log.Warn().Err(err).Str("folder", dir).Msg("cannot watch the certificate's folder")
			}
		}
	}
}

func (c *Certificates) reloadAndLog() {
	changed, err := c.Reload()
	switch {
	case err != nil:
		c.log.Error().Err(err).Msg("the new certificate cannot be used, the old one stays")
	case changed:
		c.log.Info().Str("cert", c.cfg.Cert).Msg("certificate reloaded")
	}
}
