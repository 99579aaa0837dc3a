package action

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules/sql"
)

// compiler compiles the fields of one action and collects what is wrong.
type compiler struct {
	version  sql.Version
	program  *sql.Program
	path     string // of the action
	errs     []error
	warnings []Warning
	constant bool // no field so far has a template
	outside  bool // a field calls the outside
}

// field is one compiled field.
type field struct {
	path       string // relative to the action
	template   *sql.Template
	constant   string
	isConstant bool
}

// field compiles one field that takes templates.
func (c *compiler) field(path, src string) field {
	f := field{path: path}
	t, err := sql.CompileTemplate(src, c.version, c.program)
	if err != nil {
		c.fail(path, err, "correct the template")
		return f
	}
	f.template = t
	for _, w := range t.Warnings() {
		c.warnings = append(c.warnings, Warning{w, join(c.path, path)})
	}
	if f.constant, f.isConstant = t.Constant(); !f.isConstant {
		c.constant = false
		c.outside = c.outside || !t.Pure()
	}
	return f
}

// checked compiles a field; if it has no template, its value is checked right away.
func (c *compiler) checked(path, src, remedy string, valid func(string) error) field {
	f := c.field(path, src)
	if f.isConstant {
		if err := valid(f.constant); err != nil {
			c.fail(path, err, remedy)
		}
	}
	return f
}

func (c *compiler) fail(path string, err error, remedy string) {
	c.errs = append(c.errs, &Error{Path: join(c.path, path), Problem: err.Error(), Remedy: remedy, Err: err})
}

func (f field) render(ctx context.Context, in *sql.Input) (string, error) {
	if f.isConstant {
		return f.constant, nil
	}
	s, err := f.template.Render(ctx, in)
	if err != nil {
		return "", errRender(f.path, err)
	}
	return s, nil
}

// topicField is a topic to publish to. A reserved topic, one that begins with $, is
// written with $$, and only so: what comes out of a message cannot reach one.
type topicField struct {
	field
	reserved bool
}

var (
	errReserved  = errors.New("the topic begins with $, which is reserved")
	errOneDollar = errors.New("a reserved topic is written with $$")
)

const reservedRemedy = "write $$aws/... for a reserved topic"

func (c *compiler) topic(path, src string) topicField {
	reserved := strings.HasPrefix(src, "$$") // the template makes one $ of it
	if !reserved && strings.HasPrefix(src, "$") && !strings.HasPrefix(src, "${") {
		c.fail(path, errOneDollar, reservedRemedy)
		return topicField{}
	}
	f := topicField{field: c.field(path, src), reserved: reserved}
	if f.isConstant {
		if err := f.valid(f.constant); err != nil {
			c.fail(path, err, "write a topic name without wildcards")
		}
	}
	return f
}

func (f topicField) valid(topic string) error {
	if err := message.ValidateTopic(topic); err != nil {
		return err
	}
	if topic[0] == '$' && !f.reserved {
		return errReserved
	}
	return nil
}

func (f topicField) render(ctx context.Context, in *sql.Input) (string, error) {
	topic, err := f.field.render(ctx, in)
	if err != nil {
		return "", err
	}
	if err := f.valid(topic); err != nil {
		return "", errRender(f.path, err)
	}
	return topic, nil
}

func parseQoS(s string) (byte, error) {
	switch s {
	case "0", "1", "2":
		return s[0] - '0', nil
	}
	return 0, fmt.Errorf("%q is not a QoS: it is 0, 1 or 2", s)
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", s)
}

func parseSeconds(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of seconds", s)
	}
	return uint32(n), nil
}
