package action

import (
	"crypto/md5" //nolint:gosec // SQS has it in its events; nothing is kept safe by it
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/topicwire/topicwire/message"
)

// Item is one message of a batch.
type Item struct {
	// Task is what is to be done; all items of a batch are of one action.
	Task *Task
	// Seq orders the items over batches and retries.
	Seq uint64
	// Accepted is when the message was accepted, Tried how often it has been tried.
	Accepted time.Time
	Tried    int

	// Err and Result are what became of it, if the batch as a whole did not fail.
	Err    error
	Result Result
	// Behind says that Err is the failure of an item before this one, after which
	// everything is done again.
	Behind bool
}

// id is how an answer names the item.
func (i *Item) id(format string) string {
	if format == FormatKinesis {
		return fmt.Sprintf("%020d", i.Seq)
	}
	return i.Task.ID
}

// What events say of where they come from. There is no queue and no stream; a rule is
// the closest to one.
const (
	eventRegion = "us-east-1"
	eventOwner  = "000000000000"
)

// event is the event of a batch.
func (b *BatchSpec) event(items []*Item) ([]byte, error) {
	switch b.Format {
	case FormatSQS:
		return json.Marshal(map[string]any{"Records": each(items, sqsRecordOf)})
	case FormatKinesis:
		return json.Marshal(map[string]any{"Records": each(items, kinesisRecordOf)})
	default:
		return json.Marshal(struct {
			Version  string       `json:"version"`
			Rule     string       `json:"rule"`
			Messages []iotMessage `json:"messages"`
		}{"1", items[0].Task.Rule, each(items, iotMessageOf)})
	}
}

func each[T any](items []*Item, f func(*Item) T) []T {
	list := make([]T, len(items))
	for i, item := range items {
		list[i] = f(item)
	}
	return list
}

// iotMessage is a message in our own format. The payload is the rule's result: as it
// is if it is JSON, else in base64.
type iotMessage struct {
	MessageID     string          `json:"messageId"`
	Topic         string          `json:"topic"`
	ClientID      string          `json:"clientId,omitempty"`
	QoS           byte            `json:"qos"`
	Retain        bool            `json:"retain"`
	Timestamp     int64           `json:"timestamp"` // milliseconds
	Payload       json.RawMessage `json:"payload,omitempty"`
	PayloadBase64 []byte          `json:"payloadBase64,omitempty"`
	User          []userPair      `json:"userProperties,omitempty"`
	Correlation   []byte          `json:"correlationData,omitempty"`
	ResponseTopic string          `json:"responseTopic,omitempty"`
}

type userPair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func iotMessageOf(i *Item) iotMessage {
	m := i.Task.Message
	one := iotMessage{
		MessageID: i.Task.ID, Topic: m.Topic, ClientID: m.From.ClientID, QoS: m.QoS, Retain: m.Retain,
		Timestamp: i.Accepted.UnixMilli(), Correlation: m.Props.Correlation, ResponseTopic: m.Props.ResponseTopic,
	}
	if json.Valid(i.Task.Payload) && utf8.Valid(i.Task.Payload) {
		one.Payload = i.Task.Payload
	} else {
		one.PayloadBase64 = i.Task.Payload
	}
	for _, u := range m.Props.User {
		one.User = append(one.User, userPair(u))
	}
	return one
}

// sqsRecord is a message as Lambda hands it over from SQS.
// (https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html)
type sqsRecord struct {
	MessageID      string                  `json:"messageId"`
	ReceiptHandle  string                  `json:"receiptHandle"`
	Body           string                  `json:"body"`
	Attributes     map[string]string       `json:"attributes"`
	Message        map[string]sqsAttribute `json:"messageAttributes"`
	MD5            string                  `json:"md5OfBody"`
	EventSource    string                  `json:"eventSource"`
	EventSourceARN string                  `json:"eventSourceARN"`
	Region         string                  `json:"awsRegion"`
}

type sqsAttribute struct {
	StringValue string   `json:"stringValue"`
	StringList  []string `json:"stringListValues"`
	BinaryList  []string `json:"binaryListValues"`
	DataType    string   `json:"dataType"`
}

func sqsRecordOf(i *Item) sqsRecord {
	body := string(i.Task.Payload)
	if !utf8.ValidString(body) {
		body = base64.StdEncoding.EncodeToString(i.Task.Payload)
	}
	sum := md5.Sum([]byte(body)) //nolint:gosec // see the import
	m, at := i.Task.Message, strconv.FormatInt(i.Accepted.UnixMilli(), 10)
	r := sqsRecord{
		MessageID: i.Task.ID, ReceiptHandle: i.Task.ID, Body: body, MD5: hex.EncodeToString(sum[:]),
		Attributes: map[string]string{
			"ApproximateReceiveCount": strconv.Itoa(i.Tried + 1), "SentTimestamp": at,
			"ApproximateFirstReceiveTimestamp": at, "SenderId": sender(m),
		},
		Message:     map[string]sqsAttribute{"topic": stringAttribute(m.Topic)},
		EventSource: "aws:sqs", Region: eventRegion,
		EventSourceARN: "arn:aws:sqs:" + eventRegion + ":" + eventOwner + ":" + i.Task.Rule,
	}
	if m.From.ClientID != "" {
		r.Message["clientId"] = stringAttribute(m.From.ClientID)
	}
	return r
}

func stringAttribute(s string) sqsAttribute {
	return sqsAttribute{StringValue: s, StringList: []string{}, BinaryList: []string{}, DataType: "String"}
}

func sender(m *message.Message) string {
	if m.From.ClientID != "" {
		return m.From.ClientID
	}
	return "n/a" // as clientid() has it
}

// kinesisRecord is a message as Lambda hands it over from a Kinesis stream.
// (https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html)
type kinesisRecord struct {
	Kinesis struct {
		SchemaVersion string  `json:"kinesisSchemaVersion"`
		PartitionKey  string  `json:"partitionKey"`
		Sequence      string  `json:"sequenceNumber"`
		Data          []byte  `json:"data"`
		Arrival       float64 `json:"approximateArrivalTimestamp"` // seconds
	} `json:"kinesis"`
	EventSource string `json:"eventSource"`
	Version     string `json:"eventVersion"`
	EventID     string `json:"eventID"`
	EventName   string `json:"eventName"`
	Identity    string `json:"invokeIdentityArn"`
	Region      string `json:"awsRegion"`
	SourceARN   string `json:"eventSourceARN"`
}

func kinesisRecordOf(i *Item) kinesisRecord {
	r := kinesisRecord{
		EventSource: "aws:kinesis", Version: "1.0", EventName: "aws:kinesis:record", Region: eventRegion,
		EventID:   "shardId-000000000000:" + i.id(FormatKinesis),
		Identity:  "arn:aws:iam::" + eventOwner + ":role/topicwire",
		SourceARN: "arn:aws:kinesis:" + eventRegion + ":" + eventOwner + ":stream/" + i.Task.Rule,
	}
	r.Kinesis.SchemaVersion = "1.0"
	r.Kinesis.PartitionKey = i.Task.Message.Topic
	r.Kinesis.Sequence = i.id(FormatKinesis)
	r.Kinesis.Data = i.Task.Payload
	if r.Kinesis.Data == nil {
		r.Kinesis.Data = []byte{}
	}
	r.Kinesis.Arrival = float64(i.Accepted.UnixMilli()) / 1000
	return r
}
