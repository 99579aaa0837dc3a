package config

import (
	"fmt"
	"slices"
	"strings"
)

// awsActions are actions of AWS IoT that are not there.
// (https://docs.aws.amazon.com/iot/latest/developerguide/iot-rule-actions.html)
func awsActions() []string {
	return []string{
		"cloudwatchAlarm", "cloudwatchLogs", "cloudwatchMetric", "dynamoDB", "dynamoDBv2", "elasticsearch", "firehose", "iotAnalytics", "iotEvents",
		"iotSiteWise", "kafka", "kinesis", "location", "openSearch", "s3", "salesforce", "sns", "sqs", "stepFunctions", "timestream",
	}
}

// manyKeys is from how many keys on a message does not list them.
const manyKeys = 12

// keyRemedy is what to do about a key that means nothing at a path: where it would mean
// something, or where what does can be looked up.
func keyRemedy(path, key string, known []string) string {
	if slices.Contains(known, "republish") && slices.Contains(awsActions(), key) {
		return "this action of AWS is not there: call a function that does it with lambda or http, or republish the message"
	}
	var at []string
	if path != "" {
		at = keyParts(path)
	}
	all := Settings()
	inside := func(parts, begin []string) bool {
		return len(parts) > len(begin) && slices.EqualFunc(parts[:len(begin)], begin, func(a, b string) bool { return a == b || a == settingName })
	}
	var deeper, elsewhere []string
	for _, s := range all {
		parts := keyParts(s.Key)
		last := parts[len(parts)-1]
		switch {
		case strings.Contains(key, ".") && inside(parts, at) && strings.Join(parts[len(at):], ".") == key:
			return fmt.Sprintf("write it as a section: %s: ...%s", strings.ReplaceAll(key, ".", ": {"), strings.Repeat("}", strings.Count(key, ".")))
		case last != key:
		case inside(parts, at) && len(parts) == len(at)+2:
			deeper = append(deeper, parts[len(at)])
		default:
			elsewhere = append(elsewhere, s.Key)
		}
	}
	switch {
	case len(deeper) == 1:
		return fmt.Sprintf("it stands below %s: indent it further", deeper[0])
	case len(deeper) > 1:
		return fmt.Sprintf("it stands below %s: indent it further", strings.Join(deeper, " or "))
	case len(elsewhere) == 1:
		return "it is " + elsewhere[0]
	case len(known) > manyKeys:
		return strings.TrimSpace("topicwire settings "+path) + " lists what is known here"
	}
	return ""
}
