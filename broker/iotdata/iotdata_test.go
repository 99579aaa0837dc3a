package iotdata_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/iotdata"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/internal/mqttclient"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

// door is a broker with its data plane.
type door struct {
	t    *testing.T
	b    *broker.Broker
	url  string
	http *http.Client
}

// newDoor serves a broker and the door; policy is the caller's.
func newDoor(t *testing.T, policy auth.Policy, hops uint8) *door {
	t.Helper()
	b, err := broker.New(broker.Config{Listen: listen.Config{MQTT: listen.Addresses{"127.0.0.1:0"}}}, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Serve(ctx, nil) }()
	t.Cleanup(func() { cancel(); <-done })
	h := iotdata.New(iotdata.Options{Broker: b, Authenticate: func(r *http.Request, _ []byte) (iotdata.Caller, error) {
		if r.Header.Get("X-Refuse") != "" {
			return iotdata.Caller{}, fmt.Errorf("%w: not you", auth.ErrRefused)
		}
		return iotdata.Caller{Principal: &auth.Principal{Name: "function/f", Policy: policy}, Hops: hops}, nil
	}})
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &door{t: t, b: b, url: s.URL, http: s.Client()}
}

// do makes a request and returns status, error type and body.
func (d *door) do(method, path, body string, header ...string) (status int, errorType, answer string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := d.http.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if resp.Header.Get("X-Amzn-RequestId") == "" {
		d.t.Errorf("%s %s: no request id", method, path)
	}
	return resp.StatusCode, resp.Header.Get("X-Amzn-ErrorType"), string(b)
}

func (d *door) ok(method, path, body string, header ...string) string {
	d.t.Helper()
	status, errorType, answer := d.do(method, path, body, header...)
	if status != http.StatusOK {
		d.t.Fatalf("%s %s: %d %s %s", method, path, status, errorType, answer)
	}
	return answer
}

// client connects an MQTT client.
func (d *door) client(id string, o mqttclient.Options) *mqttclient.Client {
	d.t.Helper()
	target, err := mqttclient.ParseURL("mqtt://" + d.b.Addrs()[0].String())
	if err != nil {
		d.t.Fatal(err)
	}
	o.Target, o.ClientID = target, id
	var c *mqttclient.Client
	for d.t.Context().Err() == nil {
		if c, err = mqttclient.Open(d.t.Context(), o); err == nil {
			break
		}
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Close() })
	return c
}

func receive(t *testing.T, c *mqttclient.Client) *mqttclient.Publish {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := c.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPublishCarriesEverything(t *testing.T) {
	d := newDoor(t, auth.AllowAll{}, 3)
	c := d.client("ada", mqttclient.Options{})
	if err := c.SubscribeTo(t.Context(), 1, "#"); err != nil {
		t.Fatal(err)
	}
	properties := base64.StdEncoding.EncodeToString([]byte(`[{"z":"1"},{"a":"2","b":"3"},{"z":"4"}]`))
	answer := d.ok(http.MethodPost, "/topics/a%2F%2Fb%20c?qos=1&contentType=text%2Fplain&responseTopic=r%2F1&messageExpiry=60", "häl",
		"X-Amz-Mqtt5-Correlation-Data", base64.StdEncoding.EncodeToString([]byte{0, 1, 2}),
		"X-Amz-Mqtt5-Payload-Format-Indicator", "UTF8_DATA",
		"X-Amz-Mqtt5-User-Properties", properties)
	var done struct{ Message, TraceID string }
	if err := json.Unmarshal([]byte(answer), &done); err != nil || done.Message != "OK" || done.TraceID == "" {
		t.Errorf("answered %s", answer)
	}
	m := receive(t, c)
	if m.Topic != "a//b c" || string(m.Payload) != "häl" || m.QoS != 1 || m.Retain {
		t.Errorf("%+v", m)
	}
	p := m.Props
	if p.ContentType != "text/plain" || p.ResponseTopic != "r/1" || string(p.CorrelationData) != "\x00\x01\x02" {
		t.Errorf("properties %+v", p)
	}
	var user []string
	for _, u := range p.User {
		user = append(user, u.Key+"="+u.Value)
	}
	if got := strings.Join(user, " "); got != "z=1 a=2 b=3 z=4" {
		t.Errorf("user properties %s", got)
	}

	d.ok(http.MethodPost, "/topics/plain/path?retain=true", "")
	if m := receive(t, c); m.Topic != "plain/path" || len(m.Payload) != 0 || m.QoS != 0 {
		t.Errorf("%+v", m)
	}
}

func TestPublishRefusals(t *testing.T) {
	d := newDoor(t, auth.AllowAll{}, 0)
	d.client("ada", mqttclient.Options{}) // the broker serves
	for _, c := range []struct {
		path, body string
		header     []string
		status     int
		errorType  string
	}{
		{path: "/topics/a%2F%23", status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/", status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/a?qos=3", status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/a?retain=yes", status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/a?messageExpiry=-1", status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/a?responseTopic=%2B", status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/$SYS%2Fx", status: 403, errorType: "ForbiddenException"},
		{path: "/topics/a", body: strings.Repeat("x", 128<<10+1), status: 413, errorType: "RequestEntityTooLargeException"},
		{path: "/topics/a", header: []string{"X-Refuse", "1"}, status: 403, errorType: "ForbiddenException"},
		{path: "/topics/a", header: []string{"X-Amz-Mqtt5-User-Properties", "e30="}, status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/a", header: []string{"X-Amz-Mqtt5-User-Properties", "!"}, status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/a", header: []string{"X-Amz-Mqtt5-Correlation-Data", "!"}, status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/a", header: []string{"X-Amz-Mqtt5-Payload-Format-Indicator", "JSON"}, status: 400, errorType: "InvalidRequestException"},
		{path: "/topics/a", body: "\xff", header: []string{"X-Amz-Mqtt5-Payload-Format-Indicator", "UTF8_DATA"}, status: 400, errorType: "InvalidRequestException"},
		{path: "/connections/ada/shoes", status: 404, errorType: "ResourceNotFoundException"},
		{path: "/connections/ada", status: 405, errorType: "MethodNotAllowedException"},
	} {
		status, errorType, answer := d.do(http.MethodPost, c.path, c.body, c.header...)
		var doc struct{ Message, TraceID string }
		if err := json.Unmarshal([]byte(answer), &doc); err != nil || doc.Message == "" || doc.TraceID == "" {
			t.Errorf("%s: answered %s", c.path, answer)
		}
		if status != c.status || errorType != c.errorType {
			t.Errorf("%s: %d %s (%s), want %d %s", c.path, status, errorType, doc.Message, c.status, c.errorType)
		}
	}
}

// narrow lets publish below "mine" only, retained or not, and receive nothing.
type narrow struct{}

func (narrow) Allows(a auth.Action, topic string) bool {
	return (a == auth.Publish || a == auth.RetainPublish) && strings.HasPrefix(topic, "mine/")
}

func TestPolicyIsAsked(t *testing.T) {
	d := newDoor(t, narrow{}, 0)
	d.client("ada", mqttclient.Options{})
	d.ok(http.MethodPost, "/topics/mine%2Fa?retain=true", "x")
	for _, r := range [][2]string{
		{"POST", "/topics/yours%2Fa"},
		{"GET", "/retainedMessage/mine%2Fa"},
		{"GET", "/retainedMessage"},
		{"GET", "/connections/ada"},
		{"DELETE", "/connections/ada"},
		{"GET", "/connections/ada/subscriptions"},
		{"POST", "/connections/ada/messages?topic=mine%2Fa"},
	} {
		if status, errorType, answer := d.do(r[0], r[1], ""); status != 403 || errorType != "ForbiddenException" {
			t.Errorf("%s %s: %d %s %s", r[0], r[1], status, errorType, answer)
		}
	}
}

func TestRetainedMessages(t *testing.T) {
	d := newDoor(t, auth.AllowAll{}, 0)
	d.client("ada", mqttclient.Options{})
	for i := range 5 {
		d.ok(http.MethodPost, fmt.Sprintf("/topics/r%%2F%d?retain=true&qos=1", i), strings.Repeat("x", i+1),
			"X-Amz-Mqtt5-User-Properties", base64.StdEncoding.EncodeToString([]byte(`[{"a":"b"}]`)))
	}
	var one struct {
		Topic            string
		Payload          []byte
		QoS              int
		LastModifiedTime int64
		UserProperties   []byte
	}
	if err := json.Unmarshal([]byte(d.ok(http.MethodGet, "/retainedMessage/r%2F2", "")), &one); err != nil {
		t.Fatal(err)
	}
	if one.Topic != "r/2" || string(one.Payload) != "xxx" || one.QoS != 1 || time.Since(time.UnixMilli(one.LastModifiedTime)) > time.Minute || string(one.UserProperties) != `[{"a":"b"}]` {
		t.Errorf("%+v", one)
	}
	if status, errorType, _ := d.do(http.MethodGet, "/retainedMessage/nothing", ""); status != 404 || errorType != "ResourceNotFoundException" {
		t.Errorf("nothing: %d %s", status, errorType)
	}
	var topics []string
	for token := ""; ; {
		var list struct {
			RetainedTopics []struct {
				Topic       string
				PayloadSize int
			}
			NextToken *string
		}
		if err := json.Unmarshal([]byte(d.ok(http.MethodGet, "/retainedMessage?maxResults=2&nextToken="+token, "")), &list); err != nil {
			t.Fatal(err)
		}
		for _, m := range list.RetainedTopics {
			topics = append(topics, fmt.Sprint(m.Topic, m.PayloadSize))
		}
		if list.NextToken == nil {
			break
		}
		token = *list.NextToken
	}
	if got := strings.Join(topics, " "); got != "r/01 r/12 r/23 r/34 r/45" {
		t.Errorf("listed %s", got)
	}
	if status, errorType, _ := d.do(http.MethodGet, "/retainedMessage?nextToken=*", ""); status != 400 || errorType != "InvalidRequestException" {
		t.Errorf("a foreign token: %d %s", status, errorType)
	}
}

func TestConnections(t *testing.T) {
	d := newDoor(t, auth.AllowAll{}, 0)
	c := d.client("ada/1", mqttclient.Options{KeepAlive: 42 * time.Second})
	if err := c.SubscribeTo(t.Context(), 1, "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	var info struct {
		Connected, CleanSession           bool
		ClientID, SourceIP, TargetIP      string
		ConnectedSince, KeepAliveDuration int64
		SourcePort, TargetPort            int
	}
	if err := json.Unmarshal([]byte(d.ok(http.MethodGet, "/connections/ada%2F1?includeSocketInformation=true", "")), &info); err != nil {
		t.Fatal(err)
	}
	if !info.Connected || !info.CleanSession || info.ClientID != "ada/1" || info.SourceIP != "127.0.0.1" || info.SourcePort == 0 ||
		info.TargetPort == 0 || info.KeepAliveDuration != 42 || info.ConnectedSince == 0 {
		t.Errorf("%+v", info)
	}
	var filters []string
	for token := ""; ; {
		var list struct {
			Subscriptions []struct {
				TopicFilter string
				QoS         int
			}
			NextToken *string
		}
		if err := json.Unmarshal([]byte(d.ok(http.MethodGet, "/connections/ada%2F1/subscriptions?maxResults=2&nextToken="+token, "")), &list); err != nil {
			t.Fatal(err)
		}
		for _, s := range list.Subscriptions {
			filters = append(filters, fmt.Sprint(s.TopicFilter, s.QoS))
		}
		if list.NextToken == nil {
			break
		}
		token = *list.NextToken
	}
	if got := strings.Join(filters, " "); got != "a1 b1 c1" {
		t.Errorf("subscriptions %s", got)
	}

	confirmed := make(chan int, 1)
	go func() {
		status, _, _ := d.do(http.MethodPost, "/connections/ada%2F1/messages?topic=to%2Fada&confirmation=true&timeout=15", "direct", "X-Amz-Mqtt5-Correlation-Data", "AQI=")
		confirmed <- status
	}()
	if m := receive(t, c); m.Topic != "to/ada" || string(m.Payload) != "direct" || m.QoS != 1 || string(m.Props.CorrelationData) != "\x01\x02" {
		t.Errorf("%+v", m)
	}
	if status := <-confirmed; status != http.StatusOK {
		t.Errorf("confirmed with %d", status)
	}
	d.ok(http.MethodDelete, "/connections/ada%2F1", "")
	<-c.Done()
	for _, r := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"GET", "/subscriptions"}, {"POST", "/messages?topic=a"}} {
		if status, errorType, answer := d.do(r[0], "/connections/ada%2F1"+r[1], ""); status != 404 || errorType != "ResourceNotFoundException" {
			t.Errorf("%s %s: %d %s %s", r[0], r[1], status, errorType, answer)
		}
	}
}

func TestUnconfirmedMessageTimesOut(t *testing.T) {
	d := newDoor(t, auth.AllowAll{}, 0)
	c := d.client("ada", mqttclient.Options{ManualAck: true})
	status, errorType, answer := d.do(http.MethodPost, "/connections/ada/messages?topic=a&confirmation=true&timeout=1", "x")
	if status != http.StatusGatewayTimeout || errorType != "GatewayTimeoutException" {
		t.Errorf("%d %s %s", status, errorType, answer)
	}
	if m := receive(t, c); string(m.Payload) != "x" {
		t.Errorf("%+v", m)
	}
}
