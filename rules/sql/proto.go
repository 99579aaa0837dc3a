package sql

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// maxDescriptors is how large a FileDescriptorSet may be. [AWS]
const maxDescriptors = 32 << 10

// What can be wrong with decode(..., 'proto', ...) beside the message itself.
var (
	ErrDescriptors = errors.New("not a usable FileDescriptorSet")
	ErrNoMessage   = errors.New("the descriptors have no such message")
)

// protoMessage is a message type found in a FileDescriptorSet.
type protoMessage struct {
	set  string // the bytes it was found in
	desc protoreflect.MessageDescriptor
}

// protoCall compiles decode(v, 'proto', bucket, key, file, message). It reads the
// descriptors through Env, so it counts as calling outside.
func (c *compiler) protoCall(e *call, f *Function) code {
	if c.template {
		c.fail(e.at, "decode() of protobuf cannot stand in a substitution template")
		return fixed(undefined)
	}
	if c.fallback {
		c.fail(e.at, "decode() of protobuf cannot be the default of get_or_default(): a default must not fail")
	}
	if slices.Contains(c.options, NoDescriptors) {
		c.fail(e.at, "decode() of protobuf needs the descriptors of its messages: name their folder in rules.descriptors, and put the FileDescriptorSet there as BUCKET/KEY")
	}
	if len(e.args) != f.max {
		c.warn(e.at, "decode() with 'proto' takes 6 arguments, not %d, and is always Undefined: %s", len(e.args), f.Signature)
		return fixed(undefined)
	}
	args := c.args(e, f)
	_, raw := e.args[0].(*star)
	if raw = raw && len(c.aliases) == 0; raw {
		args[0] = code{run: func(in *Input) value { return text(in.payload.text) }}
	}
	proto := *f
	proto.outside, proto.params = true, []param{stringOnly}
	proto.call = func(in *Input, a []value, m *memo) value { return in.decodeProto(a, raw, m) }
	return c.invoke(e, &proto, args)
}

// decodeProto gives a protobuf message as JSON has it, with the names that protobuf's
// JSON mapping gives its fields.
func (in *Input) decodeProto(a []value, raw bool, m *memo) value {
	if in.err != nil {
		return undefined
	}
	data := []byte(a[0].s)
	if !raw {
		var err error
		if data, err = base64.StdEncoding.DecodeString(a[0].s); err != nil {
			return in.fail(fmt.Errorf("decode proto: the value is not base64: %w", err))
		}
	}
	desc, err := in.protoType(a[2].s, a[3].s, a[4].s, a[5].s, m)
	if err != nil {
		return in.fail(fmt.Errorf("decode proto: %w", err))
	}
	msg := dynamicpb.NewMessage(desc)
	if err := proto.Unmarshal(data, msg); err != nil {
		return in.fail(fmt.Errorf("decode proto: %w", err))
	}
	out, err := protojson.Marshal(msg)
	if err != nil {
		return in.fail(fmt.Errorf("decode proto: %w", err))
	}
	if !in.spend(4 * len(out)) {
		return undefined
	}
	return in.parseJSON(string(out))
}

// protoType finds a message type. The descriptors are asked for each time, since they
// may have changed; they are only parsed again if they have.
func (in *Input) protoType(bucket, key, file, name string, m *memo) (protoreflect.MessageDescriptor, error) {
	set, err := in.env.Descriptors(in.ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	if len(set) > maxDescriptors {
		return nil, fmt.Errorf("%s/%s: %w: it has more than %d bytes", bucket, key, ErrDescriptors, maxDescriptors)
	}
	id := file + "\x00" + name
	if last := m.proto.Load(); last != nil && last.from == id && last.what.set == string(set) {
		return last.what.desc, nil
	}
	in.spend(len(set))
	desc, err := findMessage(set, file, name)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", bucket, key, err)
	}
	m.proto.Store(&prepared[protoMessage]{id, protoMessage{string(set), desc}})
	return desc, nil
}

// findMessage looks for a message type, by its full or its simple name, in the named
// file of a FileDescriptorSet.
func findMessage(set []byte, file, name string) (protoreflect.MessageDescriptor, error) {
	var fds descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(set, &fds); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescriptors, err)
	}
	files, err := protodesc.NewFiles(&fds)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescriptors, err)
	}
	var found protoreflect.MessageDescriptor
	files.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		path := strings.TrimSuffix(fd.Path(), ".proto")
		if path == file || strings.HasSuffix(path, "/"+file) {
			found = messageIn(fd.Messages(), name)
		}
		return found == nil
	})
	if found == nil {
		return nil, fmt.Errorf("%w: %s in %s.proto", ErrNoMessage, name, file)
	}
	return found, nil
}

func messageIn(messages protoreflect.MessageDescriptors, name string) protoreflect.MessageDescriptor {
	for i := range messages.Len() {
		m := messages.Get(i)
		if string(m.Name()) == name || string(m.FullName()) == name {
			return m
		}
		if inner := messageIn(m.Messages(), name); inner != nil {
			return inner
		}
	}
	return nil
}
