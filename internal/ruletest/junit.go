package ruletest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// The elements of JUnit's XML, as CI servers read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
		took     time.Duration
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the results as JUnit XML, a test suite for each rule. Results of
// one rule stand together.
func WriteJUnit(w io.Writer, results []Result) error {
	all := junitSuites{Tests: len(results)}
	for _, r := range results {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != r.Rule {
			all.Suites = append(all.Suites, junitSuite{Name: r.Rule})
		}
		s := &all.Suites[len(all.Suites)-1]
		c := junitCase{Name: r.Test, Class: r.Rule, Time: seconds(r.Took)}
		if !r.Passed() {
			c.Failure = failure(r.Problems)
			s.Failures++
			all.Failures++
		}
		s.Tests++
		s.took += r.Took
		s.Time = seconds(s.took)
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func failure(problems []Problem) *junitFailure {
	var what []string
	var text strings.Builder
	for _, p := range problems {
		what = append(what, p.What)
		text.WriteString(p.What + "\n" + p.Detail)
	}
	return &junitFailure{Message: strings.Join(what, "; "), Text: text.String()}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
