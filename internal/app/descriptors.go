package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/topicwire/topicwire/internal/config"
)

// Descriptors is the folder of FileDescriptorSets that decode(..., 'proto', ...) reads,
// in the place of the buckets of S3: FOLDER/BUCKET/KEY. A file is read each time it is
// asked for, so a new one counts at once. The zero value has no folder.
type Descriptors struct{ dir atomic.Pointer[string] }

var (
	errNoDescriptors     = errors.New("decode() finds no protobuf descriptors: rules.descriptors names no folder of them")
	errDescriptorsPlace  = errors.New("no file in a folder of rules.descriptors can have that name")
	errDescriptorsTooBig = errors.New("it is longer than any that decode() takes")
)

// maxDescriptors is more than decode() takes, and bounds what is read for it to say so.
const maxDescriptors = 64 << 10

// Load takes the folder of a configuration.
func (d *Descriptors) Load(cfg *config.Config) { d.dir.Store(&cfg.RuleSettings.Descriptors) }

// Find reads a FileDescriptorSet. Bucket and key may come from a message: they lead
// nowhere but into the folder.
func (d *Descriptors) Find(_ context.Context, bucket, key string) ([]byte, error) {
	dir := d.dir.Load()
	if dir == nil || *dir == "" {
		return nil, errNoDescriptors
	}
	name := filepath.Join(bucket, filepath.FromSlash(key))
	if !filepath.IsLocal(bucket) || !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%s/%s: %w", bucket, key, errDescriptorsPlace)
	}
	root, err := os.OpenRoot(*dir) // no link leads out of it either
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxDescriptors+1))
	if err == nil && len(data) > maxDescriptors {
		err = fmt.Errorf("%s/%s: %w", bucket, key, errDescriptorsTooBig)
	}
	return data, err
}
