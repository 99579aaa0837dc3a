package rulesimport

import (
	"fmt"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/bridge/action"
)

// write writes the configuration: what it is, the functions, the rules.
func (im *importer) write(w *writer, files []File, rules []finished) {
	w.line(0, "# yaml-language-server: $schema=topicwire.schema.json")
	w.line(0, "#")
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	w.comment(0, "Imported from "+strings.Join(names, ", ")+" by topicwire rules import.")
	im.writeFunctions(w)
	w.line(0, "")
	w.line(0, "rules:")
	for i, r := range rules {
		if i > 0 {
			w.line(0, "")
		}
		w.rule(r)
	}
}

// writeFunctions writes the functions that rules call.
func (im *importer) writeFunctions(w *writer) {
	var used []*lambda
	declared := false
	for _, f := range im.functions {
		if f.used {
			used = append(used, f)
			declared = declared || f.why == ""
		}
	}
	if len(used) == 0 {
		return
	}
	w.line(0, "")
	if !declared {
		w.comment(0, "Declare these functions before you use the rules.")
		w.line(0, "functions: {}")
	} else {
		w.line(0, "functions:")
	}
	for _, f := range used {
		if f.why != "" {
			im.warn(f.at, "the function "+f.name+" is to be declared: "+f.why, "write it under functions")
			w.comment(2, f.name+" is to be declared, for instance as "+f.name+`: {lambda: "ARN"}: `+f.why)
			continue
		}
		for _, note := range f.notes {
			im.warn(f.at, "function "+f.name+": "+note, "")
		}
		w.function(f)
	}
}

func (w *writer) function(f *lambda) {
	c := f.config
	w.line(2, f.name+":")
	w.text(4, "runtime", escaped(c.Runtime))
	w.text(4, "path", escaped(c.Path))
	w.text(4, "handler", escaped(c.Handler))
	if c.Timeout > 0 {
		w.line(4, fmt.Sprintf("timeout: %ds", int(c.Timeout.Seconds())))
	}
	if c.Memory > 0 {
		w.line(4, fmt.Sprintf("memory: %d", c.Memory))
	}
	if len(c.Environment) > 0 {
		w.line(4, "environment:")
		for _, name := range f.vars {
			if value, ok := c.Environment[name]; ok {
				w.line(6, quoted(name)+": "+quoted(escaped(value)))
			}
		}
	}
	for _, note := range f.notes {
		w.comment(4, note)
	}
}

func (w *writer) rule(r finished) {
	if r.why != "" {
		w.comment(2, "The rule "+r.config.Name+" is left out: "+r.why)
		return
	}
	c := r.config
	w.line(2, "- name: "+quoted(c.Name))
	w.text(4, "description", c.Description)
	w.line(4, `awsIotSqlVersion: "`+string(c.Version)+`"`)
	if c.Disabled {
		w.line(4, "ruleDisabled: true")
	}
	w.text(4, "sql", c.SQL)
	for _, note := range r.notes {
		w.comment(4, note)
	}
	if len(c.Actions) > 0 {
		w.line(4, "actions:")
		for _, a := range c.Actions {
			w.action(6, "- ", a)
		}
	}
	if c.ErrorAction != nil {
		w.line(4, "errorAction:")
		w.action(6, "", *c.ErrorAction)
	}
}

func (w *writer) action(indent int, dash string, a action.Config) {
	in := indent + len(dash) + 2
	switch {
	case a.Lambda != nil:
		w.line(indent, dash+"lambda:")
		w.text(in, "function", a.Lambda.Function)
		w.text(in, "functionArn", a.Lambda.FunctionArn)
	case a.Republish != nil:
		w.line(indent, dash+"republish:")
		w.text(in, "topic", a.Republish.Topic)
		w.value(in, "qos", string(a.Republish.QoS))
		w.headers(in, a.Republish.Headers)
	case a.HTTP != nil:
		w.line(indent, dash+"http:")
		w.text(in, "url", a.HTTP.URL)
		w.text(in, "confirmationUrl", a.HTTP.ConfirmationURL)
		if len(a.HTTP.Headers) > 0 {
			w.line(in, "headers:")
		}
		for _, h := range a.HTTP.Headers {
			w.pair(in+2, h.Key, h.Value)
		}
	}
}

func (w *writer) headers(indent int, h *action.RepublishHeaders) {
	if h == nil || slices.Equal([]string{h.PayloadFormatIndicator, h.ContentType, h.ResponseTopic, h.CorrelationData, string(h.MessageExpiry)}, make([]string, 5)) && len(h.UserProperties) == 0 {
		return
	}
	w.line(indent, "headers:")
	indent += 2
	w.text(indent, "payloadFormatIndicator", h.PayloadFormatIndicator)
	w.text(indent, "contentType", h.ContentType)
	w.text(indent, "responseTopic", h.ResponseTopic)
	w.text(indent, "correlationData", h.CorrelationData)
	w.value(indent, "messageExpiry", string(h.MessageExpiry))
	if len(h.UserProperties) > 0 {
		w.line(indent, "userProperties:")
	}
	for _, p := range h.UserProperties {
		w.pair(indent+2, p.Key, p.Value)
	}
}

// value writes a number as a number.
func (w *writer) value(indent int, key, text string) {
	if text != "" && len(text) < 10 && strings.Trim(text, "0123456789") == "" {
		w.line(indent, key+": "+text)
		return
	}
	w.text(indent, key, text)
}

func (w *writer) pair(indent int, key, value string) {
	w.line(indent, "- key: "+quoted(key))
	w.line(indent, "  value: "+quoted(value))
}
