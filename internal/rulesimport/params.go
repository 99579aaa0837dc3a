package rulesimport

import (
	"maps"
	"slices"
	"strings"
)

// params are the values that the user gives by name.
type params struct {
	values map[string]string
	used   map[string]bool
}

func newParams(values map[string]string) *params {
	return &params{values: values, used: make(map[string]bool, len(values))}
}

// get gives a value, and remembers that it was of use.
func (p *params) get(name string) (string, bool) {
	v, ok := p.values[name]
	if ok {
		p.used[name] = true
	}
	return v, ok
}

// unused are the names that nothing asked for, in order.
func (p *params) unused() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if !p.used[name] {
			names = append(names, name)
		}
	}
	return names
}

// The pseudo parameters of CloudFormation.
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html)
const (
	pseudoRegion  = "AWS::Region"
	pseudoAccount = "AWS::AccountId"
)

// Stand-ins for region and account in ARNs of functions that are declared beside the
// rules: there nobody looks at them. They are those of the emulators of AWS.
const (
	standInRegion  = "us-east-1"
	standInAccount = "000000000000"
)

// pseudo gives a pseudo parameter that --param does not. Region and account are
// stand-ins, and whatever else needs them is asked for. What depends on a deployment,
// such as AWS::StackName, is not guessed at.
func (t *template) pseudo(n *node, name string) (*node, bool) {
	standIn := func(value string) *node {
		s := n.scalar(value)
		s.standIns = []want{{name: name, at: n}}
		return s
	}
	region, _ := t.params.get(pseudoRegion)
	switch name {
	case "AWS::NoValue":
		return n.like(absentKind), true
	case pseudoRegion:
		return standIn(standInRegion), true
	case pseudoAccount:
		return standIn(standInAccount), true
	case "AWS::Partition":
		return n.scalar(partition(region)), true
	case "AWS::URLSuffix":
		if partition(region) == "aws-cn" {
			return n.scalar("amazonaws.com.cn"), true
		}
		return n.scalar("amazonaws.com"), true
	}
	return nil, false
}

// partition is where a region is.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// arn is the ARN of a function of the template. Who reads it looks at its name alone,
// so the stand-ins in it count for nothing.
func (t *template) arn(n *node, function string) *node {
	region, account := standInRegion, standInAccount
	if r, ok := t.params.get(pseudoRegion); ok {
		region = r
	}
	if a, ok := t.params.get(pseudoAccount); ok {
		account = a
	}
	return n.scalar("arn:" + partition(region) + ":lambda:" + region + ":" + account + ":function:" + function)
}

func sortedValues(m map[string]string) []string { return slices.Sorted(maps.Values(m)) }
