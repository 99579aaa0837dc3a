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

// Certificates is a server certificate kept in files. Run reloads it when they
// change; connections that are open keep what they have. A new certificate that
// cannot be used leaves the old one in place.
type Certificates struct {
	cfg     TLSConfig
	log     zerolog.Logger
	current atomic.Pointer[tls.Certificate]

	mu  sync.Mutex
	pem [2][]byte // the files' contents when last read
}

// NewCertificates loads the files. The error says which one is wrong and how.
func NewCertificates(cfg TLSConfig, log zerolog.Logger) (*Certificates, error) {
	c := &Certificates{cfg: cfg, log: log}
	if _, err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// TLSConfig serves whatever certificate is current, with TLS 1.2 or later. Each
// call makes a new one, for the caller to complete (client certificates, NextProtos).
func (c *Certificates) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

// Reload reads the files now and reports whether they held something new. After an
// error the certificate of before stays in use.
func (c *Certificates) Reload() (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
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
	for _, file := range []string{c.cfg.Cert, c.cfg.Key} {
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
