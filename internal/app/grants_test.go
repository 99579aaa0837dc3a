package app

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/broker/auth"
)

// grantOf makes the grant of a principal, and notes how its client is ended.
func grantOf(t *testing.T, p *auth.Principal, recheck func(*auth.Principal) error) (all *grants, ended func() string, stop func()) {
	t.Helper()
	all = &grants{
		log: zerolog.Nop(), recheck: recheck, watched: make(map[*watch]struct{}),
		ask: func(*http.Request) (*auth.Principal, error) { return p, nil },
	}
	g, err := all.authorize(httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	how := ""
	stop = g.(grip.Lasting).Watch(func(_ int, reason string) {
		mu.Lock()
		defer mu.Unlock()
		how = reason
	}, func() {})
	return all, func() string {
		mu.Lock()
		defer mu.Unlock()
		return how
	}, stop
}

func good(*auth.Principal) error { return nil }

func TestGrantsEndWithTheirCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ended, stop := grantOf(t, &auth.Principal{Name: "al", Expires: time.Now().Add(time.Hour)}, good)
		defer stop()
		<-time.After(time.Hour - time.Second)
		synctest.Wait()
		if how := ended(); how != "" {
			t.Errorf("ended before its time: %s", how)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if how := ended(); how != "the credentials have expired" {
			t.Errorf("%q", how)
		}
	})
}

func TestGrantsAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := &auth.Principal{Name: "al", Renew: time.Now().Add(time.Minute)}
		all, ended, stop := grantOf(t, first, good)
		defer stop()
		asked := 0
		all.renew = func(context.Context, *auth.Principal) (*auth.Principal, error) {
			switch asked++; asked {
			case 1:
				return &auth.Principal{Name: "al", Renew: time.Now().Add(time.Minute)}, nil
			case 2:
				return nil, errors.New("nobody can decide now")
			default:
				return nil, auth.ErrRefused
			}
		}
		for i, wait := range []time.Duration{time.Minute, time.Minute, renewAgain} {
			if how := ended(); how != "" {
				t.Fatalf("ended after %d: %s", i, how)
			}
			<-time.After(wait)
			synctest.Wait()
			if asked != i+1 {
				t.Fatalf("asked %d times, want %d", asked, i+1)
			}
		}
		if how := ended(); !strings.Contains(how, "not accepted") {
			t.Errorf("%q", how)
		}
		stop()
		if n := len(all.list()); n != 0 {
			t.Errorf("%d are watched after the end", n)
		}
	})
}

func TestGrantsAreRechecked(t *testing.T) {
	gone := false
	all, ended, stop := grantOf(t, &auth.Principal{Name: "al"}, func(*auth.Principal) error {
		if gone {
			return auth.ErrRefused
		}
		return nil
	})
	defer stop()
	all.Recheck()
	if how := ended(); how != "" {
		t.Errorf("ended: %s", how)
	}
	gone = true
	all.Recheck()
	if how := ended(); !strings.Contains(how, "not accepted") {
		t.Errorf("%q", how)
	}
	if socket.CloseUnauthorized != 3000 || socket.CloseForbidden != 3003 {
		t.Error("the codes are not those of the registry")
	}
}
