package grip

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The filters of GRIP. A channel's hold on them when something is delivered, a
// content's when it is written.
const (
	filterSkipSelf   = "skip-self"
	filterSkipUsers  = "skip-users"
	filterRequireSub = "require-sub"
	filterBuildID    = "build-id"
	filterVarSubst   = "var-subst"
)

// filtering is what filters look at: one holder and one message.
type filtering struct {
	holder  map[string]string // meta of the holder
	message map[string]string // meta of the message
	ids     map[string]string // of the holder's channels: the last id of each
}

var errFilter = errors.New("grip: a filter failed")

// known reports whether there is such a filter.
func knownFilter(name string) bool {
	switch name {
	case filterSkipSelf, filterSkipUsers, filterRequireSub, filterBuildID, filterVarSubst:
		return true
	}
	return false
}

// drops reports whether one of the filters keeps the message from the holder.
func (f *filtering) drops(filters []string) bool {
	user := f.holder["user"]
	for _, name := range filters {
		switch name {
		case filterSkipSelf:
			if user != "" && f.message["sender"] == user {
				return true
			}
		case filterSkipUsers:
			if user == "" {
				continue
			}
			for u := range strings.SplitSeq(f.message["skip_users"], ",") {
				if strings.TrimSpace(u) == user {
					return true
				}
			}
		case filterRequireSub:
			if channel := f.message["require_sub"]; channel != "" {
				if _, ok := f.ids[channel]; !ok {
					return true
				}
			}
		}
	}
	return false
}

// changes reports whether one of the filters makes content of its own for each holder.
func changes(filters []string) bool {
	return slices.Contains(filters, filterVarSubst) || slices.Contains(filters, filterBuildID)
}

// content applies the filters that change content.
func (f *filtering) content(filters []string, b []byte) ([]byte, error) {
	var err error
	for _, name := range filters {
		switch name {
		case filterVarSubst:
			b, err = expand(b, func(directive byte, arg string, hasArg bool) (string, bool) {
				v, ok := f.holder[arg]
				return v, ok && directive == 's' && hasArg
			})
		case filterBuildID:
			b, err = f.buildID(b)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// buildID puts an id into the content, for %I or %(ID)I. The id is made of those of the
// holder's channels, as its meta id_format says, and in hexadecimal if its meta
// id_encoding is hex.
func (f *filtering) buildID(b []byte) ([]byte, error) {
	format, ok := f.holder["id_format"]
	if !ok {
		return nil, fmt.Errorf("%w: build-id needs the meta id_format", errFilter)
	}
	id, err := expand([]byte(format), func(directive byte, arg string, hasArg bool) (string, bool) {
		v, ok := f.ids[arg]
		return v, ok && directive == 's' && hasArg
	})
	if err != nil {
		return nil, err
	}
	encoding := f.holder["id_encoding"]
	if encoding != "" && encoding != "hex" {
		return nil, fmt.Errorf("%w: the meta id_encoding is %.50q: it must be hex", errFilter, encoding)
	}
	return expand(b, func(directive byte, arg string, hasArg bool) (string, bool) {
		if !hasArg {
			arg = string(id)
		}
		if encoding == "hex" {
			arg = hex.EncodeToString([]byte(arg))
		}
		return arg, directive == 'I'
	})
}

// expand replaces %X and %(ARG)X, where a backslash in ARG takes the next character as
// it is and %% stands for a percent sign.
func expand(b []byte, value func(directive byte, arg string, hasArg bool) (string, bool)) ([]byte, error) {
	out := make([]byte, 0, len(b)+32)
	for i := 0; i < len(b); i++ {
		if b[i] != '%' {
			out = append(out, b[i])
			continue
		}
		if i++; i < len(b) && b[i] == '%' {
			out = append(out, '%')
			continue
		}
		var arg []byte
		hasArg := false
		if i < len(b) && b[i] == '(' {
			for i++; i < len(b) && b[i] != ')'; i++ {
				if b[i] == '\\' && i+1 < len(b) {
					i++
				}
				arg = append(arg, b[i])
			}
			hasArg = true
			i++
		}
		if i >= len(b) {
			return nil, fmt.Errorf("%w: the content ends within a %% directive", errFilter)
		}
		v, ok := value(b[i], string(arg), hasArg)
		if !ok {
			return nil, fmt.Errorf("%w: nothing is known for %%(%s)%c", errFilter, arg, b[i])
		}
		out = append(out, v...)
	}
	return out, nil
}
