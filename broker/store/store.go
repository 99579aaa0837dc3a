// Package store keeps what must outlive a connection, and where the implementation
// says so the process: sessions with their subscriptions and queues, QoS 2 state,
// retained messages and wills that wait. It knows no packets and takes no decisions;
// it is a log of changes and the state they add up to.
package store

import (
	"context"
	"time"

	"github.com/topicwire/topicwire/message"
)

// Store keeps changes. The broker appends every change at the moment it takes
// effect, in order, and asks Sync when somebody waits for it to be durable; an
// implementation is free to gather changes until then (group commit).
// All methods may be called from many goroutines at once.
type Store interface {
	// Load calls visit with changes that add up to the state that was kept: of a
	// session first SessionPut, then its subscriptions, then its deliveries in
	// order. It is called once, before anything is appended.
	Load(ctx context.Context, visit func(Change) error) error
	// Append adds a change. It does not wait for a disk. The changes of one client,
	// and those of one retained topic, keep the order of the calls. The store must
	// not alter what the change points to.
	Append(c Change)
	// Sync calls done exactly once, when every change appended before the call is
	// durable, or with the reason why it will not be; possibly before Sync returns.
	// While nothing can be written it waits.
	Sync(done func(error))
	// Err is why the store takes nothing now, nil if it does: its disk is full, or its
	// server away. What is appended meanwhile is written when that works again. If the error has a method ReasonCode() byte, that is the MQTT 5
	// reason code for those who are refused.
	Err() error
	// Close waits until everything appended is durable and gives up what the store
	// holds. Nothing may be called after it.
	Close() error
}

// Grouper is a Store that can keep changes together: what is appended during f is
// there after a crash as a whole or not at all. f must not wait for the store.
type Grouper interface{ Group(f func()) }

// Kind says what a change is.
type Kind byte

// The kinds of change, with the fields of [Change] that they use beside Client.
const (
	// SessionPut creates or changes a session: Session.
	SessionPut Kind = iota + 1
	// SessionDelete ends a session and drops all that belongs to it.
	SessionDelete
	// SubscriptionPut adds or replaces a subscription: Filter, Subscription.
	SubscriptionPut
	// SubscriptionDelete removes one: Filter.
	SubscriptionDelete
	// SubscriptionReplayed says that the retained messages of one have been handed out:
	// Filter.
	SubscriptionReplayed
	// Enqueue adds a delivery to the end of a session's queue: Seq, Delivery.
	Enqueue
	// Sent says that a delivery went out and awaits its acknowledgement: Seq, PacketID.
	Sent
	// Received says that the client has confirmed receipt of a QoS 2 delivery
	// (PUBREC) and its completion is outstanding: Seq, PacketID.
	Received
	// Complete says that a delivery is over: acknowledged, expired or dropped: Seq.
	Complete
	// InboundPut remembers the packet identifier of a QoS 2 message that was
	// accepted and not yet released: PacketID.
	InboundPut
	// InboundDelete forgets it: PacketID.
	InboundDelete
	// RetainedPut keeps a message as its topic's retained one: Delivery.Message; Client is empty.
	RetainedPut
	// RetainedDelete removes the retained message of Topic; Client is empty.
	RetainedDelete
	// WillPut keeps a will, of a client that is connected or of one that has gone: Will.
	WillPut
	// WillDelete says that the will was published or cancelled: Will, if it counts only
	// as long as that will's message is the one that is kept.
	WillDelete
)

// Change is one step of the state. Which fields count says its Kind.
type Change struct {
	Kind     Kind
	PacketID uint16
	// Client is the client identifier of the session.
	Client string
	// Seq numbers the deliveries of one session upwards from 1; it is never reused
	// within a session.
	Seq          uint64
	Filter       string
	Topic        string
	Session      Session
	Subscription Subscription
	Delivery     Delivery
	Will         *Will
}

// Session is what is kept of a session besides its lists.
type Session struct {
	// Expiry is the Session Expiry Interval in seconds; 0xFFFFFFFF = never.
	Expiry uint32
	// Left is when the client went offline; zero while it is connected.
	Left time.Time
	// Principal is the name under which it was authenticated.
	Principal string
}

// Subscription are the options of a subscription.
type Subscription struct {
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
	// ID is the subscription identifier; 0 = none.
	ID uint32
	// Replaying says that retained messages are still to be sent for it.
	Replaying bool
}

// Delivery is one message on its way to one session.
type Delivery struct {
	Message *message.Message
	// QoS is what it is delivered with, at most the message's own.
	QoS byte
	// Retain is the RETAIN flag it is delivered with.
	Retain bool
	// IDs are the subscription identifiers that go with it.
	IDs []uint32
	// Share is the shared subscription it came through, as $share/group/filter;
	// empty = none.
	Share string
}

// Will is the will message of a client.
type Will struct {
	Message *message.Message
	// Delay is how long it waits once the client has gone.
	Delay time.Duration
	// At is when it is to be published; zero while the client is connected. If it is
	// zero when it is loaded, the server has gone before the client.
	At time.Time
}
