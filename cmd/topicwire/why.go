package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/auth/policy"
	"github.com/topicwire/topicwire/internal/app"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/message"
)

// WhyCmd says what somebody may do, and why.
type WhyCmd struct {
	ConfigFlag
	Client    string `placeholder:"ID" help:"Client identifier."`
	User      string `placeholder:"NAME" help:"User name."`
	Cert      string `placeholder:"FILE" help:"Client certificate, PEM."`
	Claims    string `placeholder:"JSON" help:"Claims of the token, as a JSON object; @FILE reads them."`
	Principal string `placeholder:"NAME" help:"What the client is authenticated as, if it is none of these."`
	Method    string `placeholder:"NAME" help:"How it is authenticated; otherwise it follows from the others."`
	SourceIP  string `name:"source-ip" default:"127.0.0.1" placeholder:"IP" help:"Network address of the client (${default})."`
	Function  string `placeholder:"NAME" help:"Ask for a function of the configuration instead of a client."`

	Connect    bool     `help:"May it connect?"`
	Persistent bool     `help:"... with a session that is kept?"`
	Will       bool     `help:"... with a will message?"`
	Publish    []string `sep:"none" placeholder:"TOPIC" help:"May it publish there? May be repeated, as the others below."`
	Retain     bool     `help:"... a message that is retained?"`
	Subscribe  []string `sep:"none" placeholder:"FILTER" help:"May it subscribe to this?"`
	Receive    []string `sep:"none" placeholder:"TOPIC" help:"May it receive from there?"`
	Invoke     []string `sep:"none" placeholder:"FUNCTION" help:"May it invoke this function?"`
	Action     []string `sep:"none" placeholder:"ACTION=NAME" help:"May it do this: iot:GetThingShadow=lamp, topicwire:Debug ..."`
	JSON       bool     `name:"json" help:"Print JSON, one object a question."`
}

// Help shows the command at work.
func (WhyCmd) Help() string {
	return `The answer comes from the configuration; no server is asked. Exit status 0: everything
that was asked is allowed. 1: something is not.

Example:
  topicwire why --client lamp --publish site/lamp/data --subscribe 'site/#'`
}

// question is one thing that is asked.
type question struct {
	action auth.Action
	name   string
}

// Run answers every question.
func (c *WhyCmd) Run(s *Streams) error {
	questions, err := c.questions()
	if err != nil {
		return exitError{2, "topicwire: " + err.Error()}
	}
	cfg, authority, err := app.Policies(c.Config)
	if err != nil {
		return err
	}
	p, peer, err := c.who(cfg, authority)
	if err != nil {
		return exitError{2, "topicwire: " + err.Error()}
	}
	refused := false
	for i, q := range questions {
		if i > 0 && !c.JSON {
			fmt.Fprintln(s.Out)
		}
		if never := broker.MayNever(q.action, q.name); never != "" {
			refused = true
			if err := c.never(s.Out, q, never); err != nil {
				return err
			}
			continue
		}
		if q.action == auth.Subscribe { // of a shared subscription, whichever form decides
			if bound, err := authority.Bind(p, peer); err == nil {
				q.name = bound.DecideSubscribe(q.name).Name
			}
		}
		e, err := authority.Explain(p, peer, q.action, q.name)
		if err != nil {
			return err
		}
		refused = refused || !e.Allowed
		if c.JSON {
			if err := writeWhy(s.Out, explainedDecision(&e)); err != nil {
				return err
			}
			continue
		}
		whyText(s.Out, &e, c.Function)
	}
	if refused {
		return exitError{code: 1}
	}
	return nil
}

// never answers a question about what nobody may do, whatever policies say.
func (c *WhyCmd) never(w io.Writer, q question, why string) error {
	text := fmt.Sprintf("%s on %s is denied: %s", q.action, q.action.Resource(q.name), why)
	if c.JSON {
		return writeWhy(w, whyJSON{Action: q.action.String(), Resource: q.action.Resource(q.name), Why: text, Policies: []string{}})
	}
	fmt.Fprintf(w, "%s, whatever policies say\n", text)
	return nil
}

// questions are what the flags ask; whether the client may connect if they ask nothing.
func (c *WhyCmd) questions() ([]question, error) {
	var all []question
	add := func(a auth.Action, names []string) {
		for _, name := range names {
			all = append(all, question{a, name})
		}
	}
	if c.Connect || c.Persistent || c.Will {
		add(auth.Connect, []string{c.Client})
	}
	for _, topic := range slices.Concat(c.Publish, c.Receive) {
		if err := message.ValidateTopic(topic); err != nil {
			return nil, err
		}
	}
	for _, filter := range c.Subscribe {
		if err := message.ValidateFilter(filter); err != nil {
			return nil, err
		}
	}
	for _, topic := range c.Publish {
		add(auth.Publish, []string{topic})
		if c.Retain {
			add(auth.RetainPublish, []string{topic})
		}
	}
	if c.Retain && len(c.Publish) == 0 {
		return nil, errors.New("--retain needs --publish TOPIC")
	}
	add(auth.Subscribe, c.Subscribe)
	add(auth.Receive, c.Receive)
	add(auth.InvokeFunction, c.Invoke)
	for _, text := range c.Action {
		name, on, _ := strings.Cut(text, "=")
		a, ok := policy.ActionOf(name)
		if !ok {
			return nil, fmt.Errorf("--action: there is no action %q: there are %s", name, strings.Join(policy.Actions(), ", "))
		}
		add(a, []string{on})
	}
	if len(all) == 0 {
		add(auth.Connect, []string{c.Client})
	}
	for _, q := range all {
		if q.action == auth.Connect && c.Client == "" {
			return nil, errors.New("give --client ID: iot:Connect is about a client identifier")
		}
	}
	return all, nil
}

// who is asked about.
func (c *WhyCmd) who(cfg *config.Config, authority *auth.Authority) (*auth.Principal, auth.Peer, error) {
	addr, err := netip.ParseAddr(c.SourceIP)
	if err != nil {
		return nil, auth.Peer{}, fmt.Errorf("--source-ip: %w", err)
	}
	peer := auth.Peer{ClientID: c.Client, Addr: addr, Persistent: c.Persistent, Will: c.Will}
	if c.Function != "" {
		f, ok := cfg.Functions[c.Function]
		if !ok {
			return nil, peer, fmt.Errorf("--function: the configuration has no function %q", c.Function)
		}
		return authority.Function(c.Function, f.Policy), peer, nil
	}
	p := &auth.Principal{Name: c.User, Username: c.User, Method: "password"}
	if c.User == "" {
		p.Method = ""
	}
	if c.Claims != "" {
		if p.Claims, err = readClaims(c.Claims); err != nil {
			return nil, peer, fmt.Errorf("--claims: %w", err)
		}
		p.Method, p.Name = "jwt", cfg.Auth.PrincipalOfClaims(p.Claims)
	}
	if c.Cert != "" {
		if p.Certificate, err = readCertificate(c.Cert); err != nil {
			return nil, peer, fmt.Errorf("--cert: %w", err)
		}
		if p.Name, err = cfg.Auth.PrincipalOfCertificate(p.Certificate); err != nil {
			return nil, peer, fmt.Errorf("--cert: the server would not let it in: %w", err)
		}
		p.Method = "x509"
	}
	if c.Principal != "" {
		p.Name = c.Principal
	}
	if c.Method != "" {
		p.Method = c.Method
	}
	if p.Name == "" && (p.Method == "" || p.Method == "anonymous") {
		p.Method, p.Policy = "anonymous", auth.AllowAll{}
	}
	return p, peer, nil
}

func readClaims(text string) (map[string]any, error) {
	data := []byte(text)
	if path, ok := strings.CutPrefix(text, "@"); ok {
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	var claims map[string]any
	if err := json.Unmarshal(data, &claims); err != nil {
		return nil, fmt.Errorf("must be a JSON object: %w", err)
	}
	return claims, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s does not begin with a PEM certificate", path)
	}
	return x509.ParseCertificate(block.Bytes)
}
