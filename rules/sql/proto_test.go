package sql_test

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/topicwire/topicwire/rules/sql"
)

// store is an Env that has descriptors on disk.
type store struct {
	world
	dir string
}

func (s store) Descriptors(_ context.Context, bucket, key string) ([]byte, error) {
	return os.ReadFile(filepath.Join(s.dir, bucket, key))
}

// person is the FileDescriptorSet of message Person {string name = 1; int32 room_no = 2;}.
func person(t *testing.T) string {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: new("people.proto"), Package: new("hall"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("Person"),
			Field: []*descriptorpb.FieldDescriptorProto{
				{Name: new("name"), Number: proto.Int32(1), JsonName: new("name"), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()},
				{Name: new("room_no"), Number: proto.Int32(2), JsonName: new("roomNo"), Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()},
			},
		}},
	}}}
	b, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b", "set"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b", "garbage"), []byte("\xff\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestProtobuf(t *testing.T) {
	dir := person(t)
	wire := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "Ada")
	wire = protowire.AppendVarint(protowire.AppendTag(wire, 2, protowire.VarintType), 42)
	encoded := base64.StdEncoding.EncodeToString(wire)
	for _, c := range []struct {
		expression, payload, want string
		err                       error
	}{
		{"decode(*, 'proto', 'b', 'set', 'people', 'Person')", string(wire), `{"name":"Ada","roomNo":42}`, nil},
		{"decode(*, 'proto', 'b', 'set', 'people', 'hall.Person').roomNo + 1", string(wire), `43`, nil},
		{"decode(v, 'proto', 'b', 'set', 'people', 'Person').name", `{"v":"` + encoded + `"}`, `"Ada"`, nil},
		{"decode(*, 'proto', 'b', 'set', 'people', 'Nobody')", string(wire), "", sql.ErrNoMessage},
		{"decode(*, 'proto', 'b', 'set', 'others', 'Person')", string(wire), "", sql.ErrNoMessage},
		{"decode(*, 'proto', 'b', 'garbage', 'people', 'Person')", string(wire), "", sql.ErrDescriptors},
		{"decode(*, 'proto', 'b', 'missing', 'people', 'Person')", string(wire), "", os.ErrNotExist},
		{"get_or_default(decode(*, 'proto', 'b', 'missing', 'people', 'Person'), 'none')", string(wire), `"none"`, nil},
		{"decode(*, 'proto', 'b')", string(wire), "", nil},
	} {
		p, err := sql.Compile("SELECT VALUE "+c.expression+" FROM 't'", "")
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		for range 2 { // the second time with the descriptors that were parsed before
			in := sql.NewInput(published("t", c.payload), store{dir: dir})
			out, _, err := p.Run(context.Background(), in)
			if string(out) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s = %s, %v, want %s, %v", c.expression, out, err, c.want, c.err)
			}
			in.Release()
		}
	}
}

func TestPure(t *testing.T) {
	for _, c := range []struct {
		statement string
		pure      bool
	}{
		{"SELECT upper(a), timestamp(), newuuid() FROM 't'", true},
		{"SELECT aws_lambda('f', *) FROM 't'", false},
		{"SELECT a FROM 't' WHERE get_or_default(aws_lambda('f', *), 1) = 1", false},
		{"SET @a = aws_lambda('f', *) SELECT 1 FROM 't'", false},
		{"SELECT decode(*, 'proto', 'b', 'k', 'f', 'm') FROM 't'", false},
		{"SELECT decode(*, 'base64') FROM 't'", true},
	} {
		p, err := sql.Compile(c.statement, "")
		if err != nil {
			t.Fatal(err)
		}
		if p.Pure() != c.pure {
			t.Errorf("%s: pure is %v", c.statement, p.Pure())
		}
	}
}

// stuck is an Env whose function never answers.
type stuck struct{ world }

func (stuck) Invoke(ctx context.Context, _ string, _ []byte) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok || time.Until(deadline) > 2*time.Second {
		return nil, errors.New("no deadline of two seconds")
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestLambdaHonoursTheContext(t *testing.T) {
	p, err := sql.Compile("SELECT aws_lambda('f', 1) FROM 't'", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	in := sql.NewInput(published("t", "{}"), stuck{})
	defer in.Release()
	if _, _, err := p.Run(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
