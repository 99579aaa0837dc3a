package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/broker/auth/policy"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
	"github.com/topicwire/topicwire/internal/natsd"
)

// Load reads and checks the configuration file at path, the rules in its rules_dir and
// what it refers to. A configuration that is wrong in any way is an *[Error] and gives
// no Config.
func Load(path string) (*Config, error) { return LoadWith(path, os.LookupEnv) }

// LoadWith is Load with an environment of the caller's.
func LoadWith(path string, env func(name string) (string, bool)) (*Config, error) {
	c := defaultConfig()
	c.Path, c.Dir = path, filepath.Dir(path)
	l := &loading{config: &c, loader: yamldoc.NewLoader(yamldoc.Options{
		Env:       env,
		Dir:       c.Dir,
		Templates: []reflect.Type{reflect.TypeFor[bridge.RuleConfig](), reflect.TypeFor[policy.Statement](), reflect.TypeFor[grip.APIGatewayConfig]()},
		OwnCheck:  []reflect.Type{reflect.TypeFor[bridge.RuleConfig]()},
		Keys:      keyRemedy,
	})}
	l.file(path)
	l.rulesDir()
	l.applyRuleSettings()
	l.policyFiles()
	l.check()
	l.storeDir()
	return l.done()
}

// loading is one load under way.
type loading struct {
	config *Config
	loader *yamldoc.Loader
	main   *yamldoc.Tree // of the configuration file; nil if there is none
	files  []string

	policies map[string]policyOrigin // where each policy document stands
}

// done gives the result: the configuration, or everything that is wrong.
func (l *loading) done() (*Config, error) {
	l.files = append(l.files, l.loader.Files()...)
	slices.Sort(l.files)
	l.files = slices.Compact(l.files)
	var wrong, warnings Problems
	for _, p := range l.loader.Problems() {
		if p.Warning {
			warnings = append(warnings, p)
		} else {
			wrong = append(wrong, p)
		}
	}
	if len(wrong) > 0 {
		return nil, &Error{Problems: wrong, Files: l.files}
	}
	l.config.Files, l.config.Warnings = l.files, warnings
	return l.config, nil
}

// file reads the configuration file.
func (l *loading) file(path string) {
	c := l.config
	docs, ok := l.read(path, "write one (it may be empty), or name another with --config")
	root := &yamldoc.Node{}
	switch {
	case !ok || len(docs) == 0:
		l.main = nil
		return
	case len(docs) > 1:
		l.loader.Report(Problem{
			Position: docs[1].Position(), Message: "a second document in the configuration file",
			Remedy: "put everything into one: remove the line ---",
		})
		fallthrough
	default:
		root = docs[0]
	}
	if e, ok := root.Get("listen"); ok && e.Value.Kind() != yamldoc.Null {
		c.Listen = listen.Config{} // who writes the section says all of it
	}
	root, settings := l.splitRules(root)
	l.main = l.loader.Decode(root, c)
	l.ruleSettings(settings)
	for i := range c.Rules {
		c.origins = append(c.origins, origin{l.main, at("rules", i)})
	}
	c.main = l.main
	for _, p := range slices.Concat(c.Auth.Paths(), c.Listen.TLS.Paths(), []*string{&c.RulesDir, &c.Grip.SignKey, &c.Store.NATS.Credentials, &c.Store.NATS.CA}) {
		*p = l.resolved(*p)
	}
}

// resolved is a path that a configuration names, from its folder.
func (l *loading) resolved(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.config.Dir, path)
}

// storeDir settles the folder of the store, once it is known whether the
// configuration names one.
func (l *loading) storeDir() {
	s := &l.config.Store
	switch {
	case s.InMemory() || s.NATS.URL != "":
	case s.Dir == "":
		s.Dir = l.resolved(natsd.DefaultDir)
	default:
		s.Dir = l.resolved(s.Dir)
	}
}

// maxFile is how large a file may be; 10,000 rules take 3 MB.
const maxFile = 64 << 20

// read parses a file. It is false if there was nothing to parse, which is reported.
func (l *loading) read(path, remedy string) ([]*yamldoc.Node, bool) {
	l.files = append(l.files, path)
	data, err := readFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			remedy = "let the user that runs topicwire read it"
		}
		l.loader.Report(Problem{Position: yamldoc.Position{File: path}, Message: yamldoc.Reason(err), Remedy: remedy})
		return nil, false
	}
	return l.loader.Parse(path, data), true
}

var (
	errFolder   = errors.New("is a folder, not a file")
	errTooLarge = fmt.Errorf("is larger than %d MB", maxFile>>20)
)

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errFolder
	case info.Size() > maxFile:
		return nil, errTooLarge
	}
	return os.ReadFile(path)
}
