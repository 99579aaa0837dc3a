package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

// login connects once over TCP and returns the return code of MQTT 3.1.1's CONNACK.
func login(address, user, password string) (byte, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testkit.Patience))
	packet, err := (&mqttclient.Connect{CleanStart: true, Username: &user, Password: []byte(password)}).Append(nil, mqttclient.V311)
	if err != nil {
		return 0, err
	}
	if _, err := conn.Write(packet); err != nil {
		return 0, err
	}
	connack := make([]byte, 4)
	_, err = io.ReadFull(conn, connack)
	return connack[3], err
}

// metric is the value of a metric of the server, by its name with its labels.
func metric(t *testing.T, s *testkit.Server, name string) float64 {
	t.Helper()
	answer, err := http.Get("http://" + s.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	return 0
}

// 10,000 wrong passwords: none gets in, next to none is hashed, the log stays short, and
// while strangers try one name after the other, so that each attempt has to be hashed, those
// who know their password connect: who has been here before, who has not, and who shows a
// token, for which nothing is hashed.
func TestTenThousandWrongPasswords(t *testing.T) {
	program := binary.Path(t)
	dir := t.TempDir()
	for _, user := range []string{"ada", "grace", "heidi"} {
		if r := testkit.Command(t, strings.NewReader("right\n"), program, "passwd", filepath.Join(dir, "passwords"), user); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": `
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
auth:
  methods:
    - jwt: {secret: "${HMAC}"}
    - password: {file: passwords, cache: -1s} # so that every right password is hashed too
  policies: {all: {Statement: {Effect: Allow, Action: "iot:*", Resource: "*"}}}
  attach: {policies: all, everybody: true}
`})
	s := testkit.Serve(t, program, filepath.Join(dir, "config.yaml"), "HMAC="+fortHMAC)
	lets := func(user, password string) {
		t.Helper()
		if code, err := login(s.MQTT, user, password); code != 0 || err != nil {
			t.Errorf("%s is not let in: code %d, %v", user, code, err)
		}
	}
	lets("grace", "right") // from now on she is known here
	const hashes = "topicwire_auth_password_hashes_total"
	before := metric(t, s, hashes)

	// One user's password is guessed.
	var flood sync.WaitGroup
	var wrong atomic.Int64
	for worker := range 40 {
		flood.Go(func() {
			for n := range 250 {
				code, err := login(s.MQTT, "ada", fmt.Sprintf("guess %d of %d", n, worker))
				if err == nil && code == 0 {
					t.Error("a guess got in")
				}
				wrong.Add(1)
			}
		})
	}
	for range 20 {
		lets("grace", "right")
	}
	flood.Wait()
	// Ten, and those that wait for their turn one by one: the wait is a second at first.
	if got := metric(t, s, hashes) - before; got > 20+10+100 || wrong.Load() != 10_000 {
		t.Errorf("%v hashes were computed for %d guesses and 20 logins", got, wrong.Load())
	}

	// Many names are tried, each of which costs a hash.
	token := forged(map[string]any{"alg": "HS256"}, map[string]any{"sub": "tok", "exp": time.Now().Add(time.Hour).Unix()}, []byte(fortHMAC))
	stop := make(chan struct{})
	for worker := range 30 {
		flood.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if code, err := login(s.MQTT, fmt.Sprintf("nobody-%d-%d", worker, n), "guess"); err == nil && code == 0 {
					t.Error("nobody got in")
				}
			}
		})
	}
	lets("heidi", "right") // her first time: she waits her turn among the strangers
	waited := 0.0
	for range 10 {
		lets("grace", "right") // goes before the strangers
		lets("tok", token)
		waited = max(waited, metric(t, s, "topicwire_auth_password_checks_waiting"))
	}
	close(stop)
	flood.Wait()
	if waited < 1 || waited > 30 {
		t.Errorf("%v checks have waited at a time, of 30 clients and %d processors: the test has not done what it says", waited, runtime.GOMAXPROCS(0))
	}
	if n := strings.Count(s.Log.String(), "credentials refused"); n > 200 {
		t.Errorf("%d lines in the log", n)
	}
}
