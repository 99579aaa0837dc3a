package sql_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/buger/jsonparser"

	"github.com/topicwire/topicwire/rules/sql"
)

// telemetry is a message of 300 bytes as devices send them.
const telemetry = `{"temperature":31.25,"deviceId":"sensor-0042-hall-7","humidity":48.5,"pressure":1013.2,"battery":{"level":87,"charging":false},"location":{"lat":47.60621,"lon":-122.33207,"floor":3},"firmware":"2.14.3-r","uptime":864213,"rssi":-67,"tags":["hall","north","critical"],"seq":1048576,"ok":true,"ch":"a1"}`

const telemetrySQL = `SELECT deviceId, temperature, topic(2) AS site, timestamp() AS ts FROM 'a/+/b' WHERE temperature > 30`

func TestTelemetrySize(t *testing.T) {
	if len(telemetry) != 300 {
		t.Errorf("the benchmark's message has %d bytes, want 300", len(telemetry))
	}
	want := `{"deviceId":"sensor-0042-hall-7","temperature":31.25,"site":"berlin","ts":1481825251155}`
	if got := outcome(telemetrySQL, "", published("a/berlin/b", telemetry)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAllocations holds the promise of six allocations for one message and one rule.
func TestAllocations(t *testing.T) {
	p, err := sql.Compile(telemetrySQL, "")
	if err != nil {
		t.Fatal(err)
	}
	m := published("a/berlin/b", telemetry)
	ctx := context.Background()
	if n := testing.AllocsPerRun(200, func() {
		in := sql.NewInput(m, world{})
		_, _, _ = p.Run(ctx, in)
		in.Release()
	}); n > 6 {
		t.Errorf("%v allocations, want at most 6", n)
	}
}

func benchmark(b *testing.B, statement, payload string, match bool) {
	b.Helper()
	p, err := sql.Compile(statement, "")
	if err != nil {
		b.Fatal(err)
	}
	m := published("a/berlin/b", payload)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		in := sql.NewInput(m, world{})
		_, matched, err := p.Run(ctx, in)
		if matched != match || err != nil {
			b.Fatal(matched, err)
		}
		in.Release()
	}
}

func BenchmarkTelemetry(b *testing.B) { benchmark(b, telemetrySQL, telemetry, true) }

func BenchmarkWhereFailsOnFirstField(b *testing.B) {
	benchmark(b, strings.Replace(telemetrySQL, "> 30", "> 40", 1), telemetry, false)
}

func BenchmarkWhereFailsOnTopic(b *testing.B) {
	benchmark(b, `SELECT deviceId FROM 'a/+/b' WHERE topic(2) = 'london' AND temperature > 30`, telemetry, false)
}

func BenchmarkStar(b *testing.B) { benchmark(b, `SELECT * FROM 'a/+/b'`, telemetry, true) }

func BenchmarkStarAndTopic(b *testing.B) {
	benchmark(b, `SELECT *, topic() AS topic, timestamp() AS ts FROM 'a/+/b'`, telemetry, true)
}

func BenchmarkNestedQuery(b *testing.B) {
	benchmark(b, `SELECT (SELECT v FROM e WHERE n = 'temperature') AS t FROM 'a'`,
		`{"e":[{"n":"temperature","u":"Cel","t":1234,"v":22.5},{"n":"light","u":"lm","t":1235,"v":135},{"n":"acidity","u":"pH","t":1235,"v":7}]}`, true)
}

func BenchmarkZone(b *testing.B) {
	benchmark(b, `SELECT time_to_epoch(at, 'yyyy-MM-dd HH:mm VV') AS ts FROM 'a'`, `{"at":"2020-03-15 10:20 Europe/Berlin"}`, true)
}

func BenchmarkRegexp(b *testing.B) {
	benchmark(b, `SELECT regexp_substr(deviceId, '-([0-9]+)-') AS n FROM 'a' WHERE regexp_matches(deviceId, '^sensor-.*')`, telemetry, true)
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sql.Compile(telemetrySQL, ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTemplate(b *testing.B) {
	t, err := sql.CompileTemplate("plant/${topic(2)}/${deviceId}/alert", "", nil)
	if err != nil {
		b.Fatal(err)
	}
	m := published("a/berlin/b", telemetry)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		in := sql.NewInput(m, world{})
		if _, err := t.Render(ctx, in); err != nil {
			b.Fatal(err)
		}
		in.Release()
	}
}

// BenchmarkFloor takes the same fields out by hand with jsonparser, which checks
// nothing that it does not touch.
func BenchmarkFloor(b *testing.B) {
	payload, topic := []byte(telemetry), "a/berlin/b"
	b.ReportAllocs()
	for b.Loop() {
		t, _, _, err := jsonparser.Get(payload, "temperature")
		if f, e := strconv.ParseFloat(string(t), 64); err != nil || e != nil || f <= 30 {
			b.Fatal(err, e)
		}
		id, _, _, err := jsonparser.Get(payload, "deviceId")
		if err != nil {
			b.Fatal(err)
		}
		site := strings.Split(topic, "/")[1]
		out := make([]byte, 0, 128)
		out = append(append(out, `{"deviceId":"`...), id...)
		out = append(append(out, `","temperature":`...), t...)
		out = append(append(out, `,"site":"`...), site...)
		out = strconv.AppendInt(append(out, `","ts":`...), time.Now().UnixMilli(), 10)
		_ = append(out, '}')
	}
}

// BenchmarkFloorValidated checks the payload first, as the language must: what is not
// JSON has no fields.
func BenchmarkFloorValidated(b *testing.B) {
	payload := []byte(telemetry)
	b.ReportAllocs()
	for b.Loop() {
		if !json.Valid(payload) {
			b.Fatal("not JSON")
		}
	}
}
