package grip_test

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/wire"
)

// A handler's answer that comes after its client has gone leaves nothing behind: no
// subscription, no timer, and nothing that asks the handler again.
func TestAnswerToAClientThatHasGone(t *testing.T) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	h := &scripted{reply: func(w http.ResponseWriter, _ *http.Request, list []wire.Event) {
		switch list[0].Type {
		case wire.EventOpen:
			answer(w, list[0])
		case wire.EventText:
			close(asked)
			<-goOn
			w.Header().Set("Keep-Alive-Interval", "20")
			answer(w, control(`{"type":"subscribe","channel":"room"}`), control(`{"type":"keep-alive","content":"tick","timeout":1}`))
		default:
			answer(w)
		}
	}}
	s := start(t, h, grip.Config{}, everything())
	c := dial(t, s.http.URL, nil)
	c.send("join")
	<-asked
	_ = c.NetConn().Close()
	await(t, "the client to be let go", func() bool { return s.metric("held") == 0 })
	close(goOn)
	await(t, "the handler to be told", func() bool { return h.seen() == "OPEN, TEXT join, DISCONNECT" })
	await(t, "the event to be counted", func() bool { return s.metric("disconnects_total") == 1 })
	if n := s.broker.Subscribers("room"); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// A refresh while the handler is being asked makes it be asked once more: it may have
// looked before.
func TestRefreshWhileTheHandlerIsAsked(t *testing.T) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	var state atomic.Int32
	h := &scripted{}
	h.reply = func(w http.ResponseWriter, r *http.Request, list []wire.Event) {
		switch {
		case len(list) == 0:
			answer(w, text("m:"+strconv.Itoa(int(state.Load()))))
		case list[0].Type == wire.EventText:
			was := state.Load()
			close(asked)
			<-goOn
			answer(w, text("m:"+strconv.Itoa(int(was))))
		default:
			echoing(w, r, list)
		}
	}
	s := start(t, h, grip.Config{}, everything())
	c := dial(t, s.http.URL, nil)
	c.send("look")
	<-asked
	state.Store(1)
	post(t, s.http.URL+"/publish", items(`{"channel":"room","ws-message":{"action":"refresh"}}`))
	close(goOn)
	c.want("0")
	c.want("1")
}
