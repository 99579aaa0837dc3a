package app

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/internal/config"
)

// newCertificates loads the certificates of cfg's listeners; nil if none has TLS. An error
// has its place in the configuration, and a certificate that clients will not accept gives a
// warning.
func newCertificates(cfg *config.Config, log zerolog.Logger) (*listen.Certificates, error) {
	if len(cfg.Listen.MQTTS)+len(cfg.Listen.HTTPS) == 0 {
		return nil, nil //nolint:nilnil // no TLS, no certificates
	}
	certs, err := listen.NewCertificates(cfg.Listen.TLS, log)
	if err != nil {
		path := "listen.tls"
		if missing, ok := errors.AsType[*fs.PathError](err); ok {
			path += tlsKey(&cfg.Listen.TLS, missing.Path)
		}
		return nil, cfg.At(path, errors.New(strings.ReplaceAll(err.Error(), "listen: ", "")), //nolint:err113 // another's words
			"correct the path or the file; topicwire cert makes certificates for development")
	}
	from, until := certs.Valid()
	const renew = "renew it: it is read again by itself, without a restart"
	switch now := time.Now(); {
	case until.Before(now):
		cfg.Warn("listen.tls.cert", fmt.Sprintf("the certificate has expired on %s: clients will not connect", until.UTC().Format(time.DateTime)), renew)
	case from.After(now):
		cfg.Warn("listen.tls.cert", fmt.Sprintf("the certificate is not valid before %s: clients will not connect until then", from.UTC().Format(time.DateTime)), "check the clock of this machine")
	case until.Sub(now) < expiresSoon:
		cfg.Warn("listen.tls.cert", "the certificate expires on "+until.UTC().Format(time.DateTime), renew)
	}
	return certs, nil
}

// expiresSoon is how long before its end a certificate is warned of.
const expiresSoon = 7 * 24 * time.Hour

// tlsKey is the key of the section that names a file, with the dot before it.
func tlsKey(c *listen.TLSConfig, file string) string {
	for key, value := range map[string]string{".cert": c.Cert, ".key": c.Key, ".client_ca": c.ClientCA, ".client_crl": c.ClientCRL} {
		if value == file {
			return key
		}
	}
	return ""
}

// measureCertificate puts the certificate's end into the metrics.
func measureCertificate(r prometheus.Registerer, certs *listen.Certificates) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "topicwire_listen_certificate_expiry_timestamp_seconds", Help: "When the server's certificate expires, in seconds since 1970.",
	}, func() float64 {
		_, until := certs.Valid()
		return float64(until.Unix())
	}))
}
