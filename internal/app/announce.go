package app

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/internal/obs"
)

// announce tells the log that the server is ready, and people where it listens and
// what to try. Where the log is for machines and nobody looks at the output, as in a
// container, the log alone says it.
func (a *app) announce(cfg *config.Config, program *bridge.Program) {
	a.log.Info().Str("version", a.options.Version).Int("rules", len(cfg.Rules)).Int("functions", len(cfg.Functions)).Uint64("open_files", openFiles()).Msg("ready")
	if a.options.Out == nil || !a.text && !obs.IsTerminal(a.options.Out) {
		return
	}
	var b strings.Builder
	b.WriteString("\ntopicwire is ready.\n")
	var mqtt string
	for _, l := range a.addresses(cfg) {
		fmt.Fprintf(&b, "  %-28s %s\n", l.what, l.url)
		if mqtt == "" && strings.HasPrefix(l.url, "mqtt://") {
			mqtt = strings.TrimPrefix(l.url, "mqtt://")
		}
	}
	fmt.Fprintf(&b, "  %-28s %s\n", "who may connect", whoMayConnect(cfg))
	if line := try(a.options.Command, cfg, program, mqtt); line != "" {
		b.WriteString("Try it in another terminal:\n  " + line + "\n")
	}
	fmt.Fprintln(a.options.Out, b.String())
}

type address struct{ what, url string }

// addresses are the URLs under which clients reach the server.
func (a *app) addresses(cfg *config.Config) []address {
	var out []address
	for _, l := range a.mqtt {
		out = append(out, address{"MQTT", l.scheme + "://" + l.address})
	}
	for _, l := range a.web.listeners {
		scheme, ws := "http", "ws"
		if l.secure {
			scheme, ws = "https", "wss"
		}
		out = append(out,
			address{"MQTT over WebSocket", ws + "://" + l.Addr().String() + webSocketPath(cfg)},
			address{"health, metrics", scheme + "://" + l.Addr().String() + "/readyz"})
		if what := a.doors.which.String(); what != "" {
			out = append(out, address{what, scheme + "://" + l.Addr().String()})
		}
	}
	return out
}

// try is a line to paste that shows the main path working: a request to the first rule
// that answers one, else a publish to the first rule that has a topic.
func try(command string, cfg *config.Config, program *bridge.Program, mqtt string) string {
	host, port, err := net.SplitHostPort(mqtt)
	if err != nil {
		return ""
	}
	var flags string
	if ip := net.ParseIP(host); host != "127.0.0.1" && (ip == nil || !ip.IsUnspecified()) {
		flags += " -h " + host
	}
	if port != "1883" {
		flags += " -p " + port
	}
	switch {
	case cfg.Auth.OnlyAnonymous():
	case hasPasswords(cfg):
		flags += " -u USER -P PASSWORD"
	default:
		return "" // which credentials these would take is for their owner to know
	}
	line := fmt.Sprintf("%s sub%s -v -t '#'", command, flags)
	published := false
	for i, r := range program.Rules() {
		topic := strings.NewReplacer("+", "ada", "#", "ada").Replace(r.Filter())
		if r.Disabled || topic == "" || topic[0] == '$' {
			continue
		}
		if answersRequests(cfg.Rules[i]) {
			return fmt.Sprintf(`%s request%s -t %s -m '{"n":1}'`, command, flags, topic)
		}
		if !published {
			published = true
			line = fmt.Sprintf(`%s pub%s -t %s -m '{"n":1}'`, command, flags, topic)
		}
	}
	return line
}

// whoMayConnect says it in a few words.
func whoMayConnect(cfg *config.Config) string {
	if len(cfg.Auth.Methods) == 0 {
		return "everybody, from this machine"
	}
	names := make([]string, len(cfg.Auth.Methods))
	for i := range cfg.Auth.Methods {
		names[i] = cfg.Auth.Methods[i].Kind()
	}
	return "whom auth.methods know: " + strings.Join(names, ", ")
}

func hasPasswords(cfg *config.Config) bool {
	return slices.ContainsFunc(cfg.Auth.Methods, func(m auth.MethodConfig) bool { return m.Password != nil })
}

// answersRequests reports whether one of the rule's functions answers on a request's
// Response Topic.
func answersRequests(r bridge.RuleConfig) bool {
	for _, a := range r.Actions {
		if a.Lambda != nil && (a.Lambda.Reply == nil || a.Lambda.Reply.Topic == "" || a.Lambda.Reply.PreferResponseTopic) {
			return true
		}
	}
	return false
}
