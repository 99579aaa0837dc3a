package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/topicwire/topicwire/broker/listen"
)

const (
	// headerTimeout bounds how long a client may take to send a request's head.
	headerTimeout = 10 * time.Second
	// goodbye bounds how long requests under way may take when the server stops.
	goodbye = 5 * time.Second
)

// webServer serves one handler on several HTTP and HTTPS addresses.
type webServer struct {
	log       zerolog.Logger
	server    *http.Server
	listeners []webListener
}

// webListener is a bound address and the scheme it is reached by.
type webListener struct {
	net.Listener
	secure bool
}

// newWebServer binds every address at once, so that one in use is known before
// anything runs. mqtt takes the connections that want MQTT at an HTTPS address.
func newWebServer(ctx context.Context, log zerolog.Logger, handler http.Handler, plain, secure []string, tlsConfig *tls.Config, mqtt func(*tls.Conn)) (*webServer, error) {
	w := &webServer{log: log, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}}
	open := func(name, address string, tlsConfig *tls.Config) error {
		l, err := listen.Open(ctx, address)
		if err != nil {
			w.close()
			return fmt.Errorf("%s listener: %w", name, err)
		}
		log.Info().Str("listener", name).Str("address", l.Addr().String()).Msg("listening")
		if tlsConfig != nil {
			l = listen.NewShared(l, tlsConfig, mqtt, log)
		}
		w.listeners = append(w.listeners, webListener{l, tlsConfig != nil})
		return nil
	}
	for _, address := range plain {
		if err := open("http", address, nil); err != nil {
			return nil, err
		}
	}
	for _, address := range secure {
		if err := open("https", address, tlsConfig); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *webServer) close() {
	for _, l := range w.listeners {
		_ = l.Close()
	}
}

// Run serves until ctx ends, then lets requests under way finish within a limit.
func (w *webServer) Run(ctx context.Context) error {
	g, stopped := errgroup.WithContext(ctx)
	for _, l := range w.listeners {
		g.Go(func() error {
			if err := w.server.Serve(l.Listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	<-stopped.Done()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	if err := w.server.Shutdown(limit); err != nil {
		_ = w.server.Close()
	}
	return g.Wait()
}

// health answers /healthz and /readyz: alive as long as the process answers, ready
// while every check passes.
type health struct {
	checks func() map[string]error
}

func (h health) alive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (h health) ready(w http.ResponseWriter, _ *http.Request) {
	status, answer := http.StatusOK, map[string]string{"status": "ready"}
	for name, err := range h.checks() {
		if err != nil {
			status = http.StatusServiceUnavailable
			answer["status"] = "not ready"
			answer[name] = err.Error()
		}
	}
	writeJSON(w, status, answer)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone; there is nobody to tell
}
