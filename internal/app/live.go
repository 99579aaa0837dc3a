package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/message"
)

// liveBacklog is how many events may wait for a slow terminal. What comes beyond that
// is counted and not shown: watching must not slow what is watched.
const liveBacklog = 4096

// Live prints a line for everything that becomes of a message: publish → rule →
// function with its milliseconds → reply.
type Live struct {
	w       io.Writer
	color   bool
	events  chan bridge.Event
	skipped atomic.Int64
}

// NewLive returns a Live that writes to w, with colours if color is set. It prints
// while [Live.Run] runs.
func NewLive(w io.Writer, color bool) *Live {
	return &Live{w: w, color: color, events: make(chan bridge.Event, liveBacklog)}
}

// Observe takes an event, for bridge.Options. It never blocks.
func (l *Live) Observe(e bridge.Event) {
	if e.Stage == bridge.Started {
		return
	}
	if e.Stage == bridge.Accepted && (len(e.Rules) > 0 || e.Message.From.Rule != "") {
		return // its actions will say how it went, or the one that published it has
	}
	select {
	case l.events <- e:
	default:
		l.skipped.Add(1)
	}
}

// Run prints until ctx ends.
func (l *Live) Run(ctx context.Context) error {
	for {
		select {
		case e := <-l.events:
			if _, err := io.WriteString(l.w, l.line(e)); err != nil {
				return fmt.Errorf("writing to the terminal: %w", err)
			}
			if n := l.skipped.Swap(0); n > 0 {
				fmt.Fprintf(l.w, "… %d more messages than this terminal can show\n", n)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// The colours of the terminal (ECMA-48, section 8.3.117).
const (
	dim   = "\x1b[2m"
	bold  = "\x1b[1m"
	green = "\x1b[32m"
	red   = "\x1b[31m"
)

func (l *Live) paint(style, s string) string {
	if !l.color {
		return s
	}
	return style + s + "\x1b[0m"
}

// line is one event as a person reads it.
func (l *Live) line(e bridge.Event) string {
	var b strings.Builder
	b.WriteString(l.paint(dim, e.Time.Format("15:04:05.000")) + "  ")
	b.WriteString(l.paint(bold, printable(e.Message.Topic)))
	if from := sender(e.Message.From); from != "" {
		b.WriteString(l.paint(dim, " from "+from))
	}
	step := func(s string) { b.WriteString(" → " + s) }
	if e.Rule != "" {
		step(printable(e.Rule))
	}
	action := e.Action
	if e.ErrorAction {
		action = "error action " + action
	}
	target := strings.TrimSpace(action + " " + printable(e.Target))
	switch e.Stage {
	case bridge.Finished:
		step(target + " " + l.paint(green, milliseconds(e.Duration)))
		if e.ReplyTopic != "" {
			step(printable(e.ReplyTopic))
		}
	case bridge.Failed:
		text := "failed after " + milliseconds(e.Duration) + ": " + printable(e.Err.Error())
		if e.Again > 0 {
			text += ", again in " + e.Again.Round(time.Millisecond).String()
		}
		step(target + " " + l.paint(red, text))
	case bridge.Dropped, bridge.Refused:
		why := string(e.Stage)
		if e.Err != nil {
			why += ": " + printable(e.Err.Error())
		}
		step(l.paint(red, why))
	default:
		step(l.paint(dim, "no rule"))
	}
	b.WriteByte('\n')
	return b.String()
}

func sender(o message.Origin) string {
	switch {
	case o.Rule != "":
		return "rule " + o.Rule
	case o.ClientID != "":
		return printable(o.ClientID)
	default:
		return ""
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// printable keeps what clients sent from steering the terminal, and short.
func printable(s string) string {
	const most = 120
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '·'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}
