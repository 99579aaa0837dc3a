//go:build unix

package emulator_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// event is 240 bytes of JSON.
var event = `{"name":"ada","message":{"text":"` + strings.Repeat("x", 204) + `"}}`

const (
	nodeEcho   = `exports.handler = async (event) => event;`
	pythonEcho = "def lambda_handler(event, context):\n    return event\n"
)

// BenchmarkWarm invokes one warm environment over and over, with one caller and with 32.
func BenchmarkWarm(b *testing.B) {
	hello, err := os.Getwd()
	if err != nil {
		b.Fatal(err)
	}
	hello += "/../../examples/hello"
	for _, bb := range []struct {
		name, program string
		cfg           emulator.Config
		files         map[string]string
	}{
		{"node", "node", emulator.Config{Runtime: "nodejs", Concurrency: 1}, map[string]string{"index.js": nodeEcho}},
		{"python", "python3", emulator.Config{Runtime: "python", Concurrency: 1}, map[string]string{"lambda_function.py": pythonEcho}},
		{"go", "go", emulator.Config{Runtime: "go", Path: hello, Concurrency: 1}, nil},
		{"go-8", "go", emulator.Config{Runtime: "go", Path: hello, Concurrency: 8}, nil},
		{"go-per-32", "go", emulator.Config{Runtime: "go", Path: hello, Concurrency: 32, ConcurrencyPerEnvironment: 32}, nil},
	} {
		b.Run(bb.name, func(b *testing.B) {
			need(b, bb.program)
			f := start(b, bb.cfg, bb.files)
			inv := emulator.Invocation{Payload: []byte(event)}
			f.call(b, inv)
			b.Run("callers-1", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if res, err := f.Invoke(context.Background(), inv); err != nil || res.FunctionError != "" {
						b.Fatal(res, err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "invocations/s")
			})
			b.Run("callers-32", func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(16) // times GOMAXPROCS, which is 2 on the reference machine
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if res, err := f.Invoke(context.Background(), inv); err != nil || res.FunctionError != "" {
							b.Error(res, err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "invocations/s")
			})
		})
	}
}

// The floor of a warm invocation: a program that gives back what it reads.
const (
	nodeFloor = `require('node:net').createServer((c) => c.setNoDelay(true).on('data', (d) => c.write(d)))
.listen(0, '127.0.0.1', function () { console.log(this.address().port); });`
	pythonFloor = `import socket
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
c = s.accept()[0]
c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while d := c.recv(4096):
    c.sendall(d)`
)

// BenchmarkFloor is what BenchmarkWarm with one caller is to be held against: as many
// bytes to a process of the same language and back over TCP, and nothing else. What a
// change of process costs differs several times between machines.
func BenchmarkFloor(b *testing.B) {
	for _, bb := range []struct{ name, program, flag, source string }{
		{"node", "node", "-e", nodeFloor},
		{"python", "python3", "-c", pythonFloor},
	} {
		b.Run(bb.name, func(b *testing.B) {
			need(b, bb.program)
			cmd := exec.CommandContext(b.Context(), bb.program, bb.flag, bb.source)
			said, err := cmd.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			port, err := bufio.NewReader(said).ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			conn, err := net.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(port))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			buf := make([]byte, 500) // about an invocation's event and its answer, with their heads
			for b.Loop() {
				if _, err := conn.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, buf); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "invocations/s")
		})
	}
}

// BenchmarkColdStart has the first answer from a new process.
func BenchmarkColdStart(b *testing.B) {
	for _, bb := range []struct {
		name, program string
		cfg           emulator.Config
		files         map[string]string
	}{
		{"node", "node", emulator.Config{Runtime: "nodejs"}, map[string]string{"index.js": `exports.handler = async () => process.pid;`}},
		{"python", "python3", emulator.Config{Runtime: "python"}, map[string]string{"lambda_function.py": "import os\ndef lambda_handler(e, c):\n    return os.getpid()\n"}},
		{"go", "go", emulator.Config{Runtime: "go", Path: "testdata/gofn"}, nil},
	} {
		b.Run(bb.name, func(b *testing.B) {
			need(b, bb.program)
			if bb.cfg.Path != "" {
				bb.cfg.Path = goFunction(b)
			}
			f := start(b, bb.cfg, bb.files)
			pid := f.pid(b, `{"do":"pid"}`)
			for b.Loop() {
				b.StopTimer()
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					b.Fatal(err)
				}
				f.awaitEnvironments(b, "busy", 0) // a process that has just answered counts as busy
				f.awaitEnvironments(b, "idle", 0)
				b.StartTimer()
				pid = f.pid(b, `{"do":"pid"}`)
			}
		})
	}
}
