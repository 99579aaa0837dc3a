package yamldoc_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

var update = flag.Bool("update", false, "write what came out into the .case files")

// The types that the cases decode into: one field for each kind of value.
type document struct {
	Name   string            `yaml:"name" json:",omitempty" jsonschema:"example=box"`
	Count  int               `yaml:"count" json:",omitempty" jsonschema:"minimum=1,maximum=10"`
	Size   int64             `yaml:"size" json:",omitempty" unit:"bytes" jsonschema:"minimum=0"`
	Wait   time.Duration     `yaml:"wait" json:",omitempty"`
	On     bool              `yaml:"on" json:",omitempty"`
	Ratio  float64           `yaml:"ratio" json:",omitempty"`
	Port   uint16            `yaml:"port" json:",omitempty"`
	Tags   []string          `yaml:"tags" json:",omitempty"`
	Labels map[string]string `yaml:"labels" json:",omitempty"`
	Level  string            `yaml:"level" json:",omitempty" jsonschema:"enum=debug,enum=info,enum=warn"`
	Auth   *auth             `yaml:"auth" json:",omitempty"`
	Any    any               `yaml:"any" json:",omitempty"`
	Hosts  hosts             `yaml:"hosts" json:",omitempty"`
	IP     netip.Addr        `yaml:"ip"`
	Rules  []template        `yaml:"rules" json:",omitempty"`

	common  `yaml:",inline"`
	Skipped string `json:",omitempty"`
}

type common struct {
	Comment string `yaml:"comment" json:",omitempty"`
}

type auth struct {
	User     string `yaml:"user" json:",omitempty" jsonschema:"required,example=ada"`
	Password string `yaml:"password" json:",omitempty"`
}

func (a auth) Check(report func(path, problem, remedy string)) {
	if strings.Contains(a.User, " ") {
		report("user", fmt.Sprintf("%q has a blank in it", a.User), "write "+strings.ReplaceAll(a.User, " ", ""))
	}
	if a.Password == "" {
		report("password", "is missing", "add password: ...")
	}
	if len(a.Password) > 0 && len(a.Password) < 6 {
		report("password", fmt.Sprintf("%q is too short", a.Password), "use six characters or more")
	}
}

type hosts []string

func (h *hosts) UnmarshalConfig(value any) error {
	switch v := value.(type) {
	case string:
		*h = hosts{v}
	case []any:
		for _, e := range v {
			*h = append(*h, fmt.Sprint(e))
		}
	default:
		return errors.New("is no host: write a name or a list of names")
	}
	return nil
}

func (h hosts) Check(report func(path, problem, remedy string)) {
	for i, s := range h {
		if s == "localhost" {
			report(fmt.Sprintf("[%d]", i), "localhost is not a public host", "name another")
		}
	}
}

// template keeps ${...}.
type template struct {
	SQL   string `yaml:"sql" jsonschema:"required"`
	Topic string `yaml:"topic" json:",omitempty"`
}

const line = "\n----------\n"

// TestCases runs testdata/*.case: a document, a line of dashes, and either the value
// as JSON or exactly the problems.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.case")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".case"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(data), line)
			got := outcome(input)
			if *update {
				if err := os.WriteFile(file, []byte(input+line+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
		})
	}
}

func newLoader() *yamldoc.Loader {
	env := map[string]string{"HOST": "db.example", "COUNT": "7", "BIG": "99999", "EMPTY": "", "PASSWORD": "hush!", "YES": "true", "TICK": "it's"}
	files := map[string]string{"/secret": "s3cret\n", "/short": "abc", "/lines": "first line\nsecond line\n", "rel/file": "found"}
	return yamldoc.NewLoader(yamldoc.Options{
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			if s, ok := files[path]; ok {
				return []byte(s), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
		Dir:       "rel",
		Templates: []reflect.Type{reflect.TypeFor[template]()},
	})
}

// outcome decodes and checks every document in text.
func outcome(text string) string {
	l := newLoader()
	var out strings.Builder
	for _, n := range l.Parse("doc.yaml", []byte(text)) {
		var d document
		tree := l.Decode(n, &d)
		l.Check(tree, &d)
		data, err := json.Marshal(d)
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&out, "%s\n", data)
	}
	if problems := l.Problems(); len(problems) > 0 {
		return problems.Error() + "\n"
	}
	return out.String()
}
