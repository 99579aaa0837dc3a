package action

import (
	"fmt"
	"time"
)

// BatchConfig hands several messages to one invocation.
type BatchConfig struct {
	MaxSize            int           `yaml:"max_size" jsonschema:"minimum=0,maximum=10000,example=10" jsonschema_description:"How many messages one invocation gets at most; 100 if left out, 10 with format sqs."`
	MaxBytes           int64         `yaml:"max_bytes" unit:"bytes" jsonschema:"example=256KB" jsonschema_description:"How many bytes of payload one invocation gets at most; 1 MB if left out."`
	Window             time.Duration `yaml:"window" jsonschema:"example=200ms" jsonschema_description:"How long the first message of a batch waits for others. Left out, a message goes at once while the function has room, and batches grow while it has none."`
	Format             string        `yaml:"format" jsonschema:"enum=iot,enum=sqs,enum=kinesis" jsonschema_description:"What the event looks like: iot (ours, with topic and client; the default), sqs or kinesis, as Lambda's event sources of these names have it."`
	ReportItemFailures *bool         `yaml:"report_item_failures" jsonschema_description:"Whether batchItemFailures in the answer says which messages failed. Left out: yes for lambda, no for http."`
	BisectOnError      *bool         `yaml:"bisect_on_error" jsonschema_description:"Whether a batch that fails as a whole is tried again in halves, so that one message cannot take the others with it; true if left out."`
}

// The forms of a batch's event.
const (
	FormatIoT     = "iot"
	FormatSQS     = "sqs"
	FormatKinesis = "kinesis"
)

// The bounds of batches. Four megabytes of payload fit in a 6 MB event in base64.
const (
	maxBatchSize      = 10_000
	maxBatchBytes     = 4 << 20
	maxBatchWindow    = 5 * time.Minute
	defaultBatchSize  = 100
	defaultSQSSize    = 10
	defaultBatchBytes = 1 << 20
)

// BatchSpec is a checked BatchConfig: plain data.
type BatchSpec struct {
	MaxSize  int           `json:"max_size"`
	MaxBytes int64         `json:"max_bytes"`
	Window   time.Duration `json:"window,omitempty"` // nanoseconds
	Format   string        `json:"format"`
	Report   bool          `json:"report,omitempty"`
	Bisect   bool          `json:"bisect,omitempty"`
}

func (b *BatchConfig) check(report Report) {
	if b.MaxSize < 0 || b.MaxSize > maxBatchSize {
		report("max_size", fmt.Sprintf("%d is out of range", b.MaxSize), fmt.Sprintf("use 1 to %d", maxBatchSize))
	}
	if b.MaxBytes < 0 || b.MaxBytes > maxBatchBytes {
		report("max_bytes", fmt.Sprintf("%d is out of range", b.MaxBytes), "use at most 4MB: an event has room for no more")
	}
	if b.Window < 0 || b.Window > maxBatchWindow {
		report("window", fmt.Sprintf("%s is out of range", b.Window), "write a duration up to 5m, such as 200ms")
	}
	switch b.Format {
	case "", FormatIoT, FormatSQS, FormatKinesis:
	default:
		report("format", fmt.Sprintf("%q is not a format", b.Format), "write iot, sqs or kinesis")
	}
}

func (b *BatchConfig) spec(kind string) *BatchSpec {
	s := &BatchSpec{MaxSize: b.MaxSize, MaxBytes: b.MaxBytes, Window: b.Window, Format: b.Format, Report: kind != "http", Bisect: true}
	if s.Format == "" {
		s.Format = FormatIoT
	}
	if s.MaxSize == 0 {
		s.MaxSize = defaultBatchSize
		if s.Format == FormatSQS {
			s.MaxSize = defaultSQSSize
		}
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = defaultBatchBytes
	}
	if b.ReportItemFailures != nil {
		s.Report = *b.ReportItemFailures
	}
	if b.BisectOnError != nil {
		s.Bisect = *b.BisectOnError
	}
	return s
}
