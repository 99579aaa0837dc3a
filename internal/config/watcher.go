package config

import "github.com/topicwire/topicwire/internal/config/watch"

// Watcher tells when the files of a configuration change; see [watch.Watcher].
type Watcher = watch.Watcher

// NewWatcher watches the files of a configuration, [Config.Files]. The caller runs it
// and, after a reload, gives it the new configuration's files with Watch.
func NewWatcher(files []string) (*Watcher, error) { return watch.New(files) }
