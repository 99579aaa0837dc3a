package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/topicwire/topicwire/internal/devcert"
)

// CertCmd makes certificates for development.
type CertCmd struct {
	Names  []string `arg:"" optional:"" placeholder:"NAME" help:"The devices; one called device if none is named."`
	Dir    string   `short:"d" default:"certs" placeholder:"DIR" help:"The folder for the files (${default})."`
	Host   []string `placeholder:"HOST" help:"Names and addresses of the server besides localhost, 127.0.0.1 and ::1."`
	Force  bool     `help:"Replace the certificates of the server and of the devices that are named. The authority stays."`
	Revoke bool     `help:"Revoke the certificates of the devices that are named: they are added to root-CA.crl."`
}

// Help shows examples.
func (CertCmd) Help() string {
	return `Makes an authority, a certificate for the server and one for each device, all with ECDSA
P-256 keys, in files with the names of AWS IoT's connection kit: root-CA.crt,
NAME.cert.pem, NAME.private.key. Called again with other names it adds devices. It is for
development: whoever reads the folder can make further certificates.

Examples:
  topicwire cert
  topicwire cert lamp1 lamp2 --host broker.local
  topicwire cert lamp1 --revoke`
}

var deviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// serverName names the server's files.
const serverName = "server"

// Run makes what is missing.
func (c CertCmd) Run(s *Streams) error {
	names := c.Names
	if len(names) == 0 {
		if c.Revoke {
			return exitError{code: 2, msg: "topicwire: name the devices to revoke"}
		}
		names = []string{"device"}
	}
	for _, n := range names {
		if !deviceName.MatchString(n) || n == serverName || n == "root-CA" {
			return exitError{code: 2, msg: fmt.Sprintf("topicwire: %q can be no device's name: use up to 64 letters, digits, - _ and ., and not %s", n, serverName)}
		}
	}
	if c.Revoke {
		return c.revoke(s, names)
	}
	if !c.Force {
		for _, n := range names {
			if path := filepath.Join(c.Dir, devcert.CertFile(n)); exists(path) {
				return fmt.Errorf("%s is there already: name another device, or replace it with --force", path)
			}
		}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	a, made, err := devcert.Open(c.Dir)
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintf(s.Out, "made %s, the authority\n", filepath.Join(c.Dir, devcert.RootFile))
	}
	if c.Force || !exists(filepath.Join(c.Dir, devcert.CertFile(serverName))) {
		hosts := append([]string{"localhost", "127.0.0.1", "::1"}, c.Host...)
		if err := a.Server(serverName, hosts); err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "made %s for %v\n", filepath.Join(c.Dir, devcert.CertFile(serverName)), hosts)
	}
	for _, n := range names {
		if err := a.Device(n); err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "made %s and %s\n", filepath.Join(c.Dir, devcert.CertFile(n)), filepath.Join(c.Dir, devcert.KeyFile(n)))
	}
	c.explain(s, names[0])
	return nil
}

func (c CertCmd) revoke(s *Streams, names []string) error {
	if !exists(filepath.Join(c.Dir, devcert.RootFile)) {
		return fmt.Errorf("there is no authority in %s", c.Dir)
	}
	a, _, err := devcert.Open(c.Dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := a.Revoke(n); err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "revoked %s\n", filepath.Join(c.Dir, devcert.CertFile(n)))
	}
	fmt.Fprintf(s.Out, "The server needs listen.tls.client_crl: %s\n", filepath.Join(c.Dir, devcert.CRLFile))
	return nil
}

// explain says what to configure and how to try it.
func (c CertCmd) explain(s *Streams, name string) {
	in := func(file string) string { return filepath.Join(c.Dir, file) }
	fmt.Fprintf(s.Out, `
Configure:
  listen:
    mqtts: 127.0.0.1:8883
    https: 127.0.0.1:8443 # MQTT over WebSocket, and MQTT for clients that ask for it by ALPN
    tls:
      cert: %s
      key: %s
      client_ca: %s
  auth:
    methods:
      - x509: {principal: common_name}
    policies:
      devices: {Statement: {Effect: Allow, Action: "iot:*", Resource: "*"}} # everything: allow less
    attach: {policies: devices, method: x509}

Try:
  mosquitto_sub --cafile %s --cert %s --key %s -h localhost -p 8883 -t '#' -v
`, in(devcert.CertFile(serverName)), in(devcert.KeyFile(serverName)), in(devcert.RootFile),
		in(devcert.RootFile), in(devcert.CertFile(name)), in(devcert.KeyFile(name)))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
