package sql_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules/sql"
)

// world is the Env of the tests: a clock that stands, and three functions.
type world struct{ calls *int }

func (world) Now() time.Time    { return time.UnixMilli(1481825251155) }
func (world) AccountID() string { return "123456789012" }

var errBroken = errors.New("broken on purpose")

func (w world) Invoke(ctx context.Context, name string, payload []byte) ([]byte, error) {
	if w.calls != nil {
		*w.calls++
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch name[strings.LastIndexByte(name, ':')+1:] {
	case "double":
		var in struct{ N json.Number }
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, err
		}
		n, err := in.N.Int64()
		return fmt.Appendf(nil, `{"n": %d}`, 2*n), err
	case "echo":
		return payload, nil
	case "garbage":
		return []byte("not json"), nil
	}
	return nil, errBroken
}

func (world) Descriptors(_ context.Context, bucket, key string) ([]byte, error) {
	return os.ReadFile("testdata/" + bucket + "/" + key)
}

// published is the message that the cases and examples see unless they say otherwise.
func published(topic, payload string) *message.Message {
	return &message.Message{
		ID: "0d3f9a1c-5b7e-4c1d-9a52-0e8f6b7c1d2e", Topic: topic, Payload: []byte(payload),
		Props: message.Properties{
			ContentType: "application/json", Correlation: []byte("cid"),
			User: []message.UserProperty{{Key: "k", Value: "v1"}, {Key: "o", Value: "ov"}, {Key: "k", Value: "v2"}},
		},
		From: message.Origin{ClientID: "client-1", Principal: "user-1", Addr: netip.MustParseAddrPort("192.0.2.7:4711"), Via: message.ViaMQTT},
	}
}

// outcome runs a statement and says what came of it, as the case files do.
func outcome(statement string, v sql.Version, m *message.Message) string {
	p, err := sql.Compile(statement, v)
	if err != nil {
		return "refused: " + err.Error()
	}
	in := sql.NewInput(m, world{})
	defer in.Release()
	out, matched, err := p.Run(context.Background(), in)
	switch {
	case err != nil:
		return "failed: " + err.Error()
	case !matched:
		return "no match"
	}
	return string(out)
}

// evaluate gives an expression's value as JSON, empty for Undefined.
func evaluate(expression string, v sql.Version, m *message.Message) string {
	return outcome("SELECT VALUE "+expression+" FROM 't'", v, m)
}

// TestExamples runs the examples of the function table.
func TestExamples(t *testing.T) {
	for _, f := range sql.Functions() {
		t.Run(f.Name, func(t *testing.T) {
			if f.Text == "" || !strings.HasPrefix(f.Signature, f.Name+"(") || len(f.Examples) < 3 {
				t.Errorf("%s lacks a text, a signature or three examples", f.Name)
			}
			for _, e := range f.Examples {
				if got := evaluate(e.Expression, "", published("things/myThings/thingOne", `{}`)); got != e.Value {
					t.Errorf("%s = %s, want %s", e.Expression, got, e.Value)
				}
			}
		})
	}
}
