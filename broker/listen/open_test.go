package listen

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestOpenSaysWhatToDo(t *testing.T) {
	l, err := Open(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for addr, want := range map[string]string{
		l.Addr().String():  "is in use by another program",
		"192.0.2.1:1883":   "is no address of this machine", // RFC 5737: nobody's
		"127.0.0.1:999999": "cannot listen on",
	} {
		if _, err := Open(t.Context(), addr); err == nil || !strings.Contains(err.Error(), addr+" "+want) && !strings.Contains(err.Error(), want+" "+addr) {
			t.Errorf("%s: %v, want %q", addr, err, want)
		}
	}
	if err := explain(syscall.EACCES, "127.0.0.1:80"); !errors.Is(err, syscall.EACCES) || !strings.Contains(err.Error(), "above 1023") {
		t.Error(err)
	}
}
