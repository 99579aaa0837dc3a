package main

import (
	"context"

	"github.com/topicwire/topicwire/internal/bench"
)

type benchThroughput struct {
	benchFlags
	benchLoad
	Rate float64 `placeholder:"N" help:"Messages per second, at a fixed rate instead of as fast as they go."`
}

type benchFanout struct {
	benchFlags
	benchLoad
	Subscribers int `default:"200" placeholder:"N" help:"Subscribers (${default})."`
}

type benchFanin struct {
	benchFlags
	benchLoad
	Publishers int     `default:"50" placeholder:"N" help:"Publishers (${default})."`
	Rate       float64 `placeholder:"N" help:"Messages per second of all together, at a fixed rate."`
}

type benchPairs struct {
	benchFlags
	benchLoad
	Publishers int     `name:"pairs" default:"50" placeholder:"N" help:"Pairs (${default})."`
	Rate       float64 `placeholder:"N" help:"Messages per second of all together, at a fixed rate."`
}

type benchLatency struct {
	benchFlags
	benchLoad
	Publishers  int     `default:"1" placeholder:"N" help:"Publishers (${default})."`
	Subscribers int     `default:"1" placeholder:"N" help:"Subscribers (${default})."`
	Rate        float64 `default:"2000" placeholder:"N" help:"Messages per second of all together (${default})."`
}

type benchConnections struct {
	benchFlags
	Count int `short:"n" default:"5000" placeholder:"N" help:"Connections (${default}); they stay open for --duration."`
}

type benchRequest struct {
	benchFlags
	benchLoad
	Inflight int    `default:"1" placeholder:"N" help:"Requests on their way (${default})."`
	Topic    string `short:"t" placeholder:"TOPIC" help:"Topic of the requests; without it the generator answers them itself."`
	Response string `short:"e" name:"response-topic" placeholder:"TOPIC" help:"Topic of the answers (invented)."`
}

type benchSubs struct {
	benchFlags
	benchLoad
	Count int `short:"n" default:"50000" placeholder:"N" help:"Other topic filters (${default})."`
}

type benchRetained struct {
	benchFlags
	benchLoad
	Count int `short:"n" default:"20000" placeholder:"N" help:"Retained messages (${default})."`
}

type benchOffline struct {
	benchFlags
	benchLoad
	Count int `short:"n" default:"20000" placeholder:"N" help:"Queued messages (${default})."`
}

func (c *benchThroughput) Run(ctx context.Context, s *Streams) error {
	return c.run(ctx, s, &c.benchLoad, bench.Config{Scenario: bench.Throughput, Rate: c.Rate})
}

func (c *benchFanout) Run(ctx context.Context, s *Streams) error {
	return c.run(ctx, s, &c.benchLoad, bench.Config{Scenario: bench.FanOut, Subscribers: c.Subscribers})
}

func (c *benchFanin) Run(ctx context.Context, s *Streams) error {
	return c.run(ctx, s, &c.benchLoad, bench.Config{Scenario: bench.FanIn, Publishers: c.Publishers, Rate: c.Rate})
}

func (c *benchPairs) Run(ctx context.Context, s *Streams) error {
	return c.run(ctx, s, &c.benchLoad, bench.Config{Scenario: bench.Pairs, Publishers: c.Publishers, Rate: c.Rate})
}

func (c *benchLatency) Run(ctx context.Context, s *Streams) error {
	return c.run(ctx, s, &c.benchLoad, bench.Config{Scenario: bench.Latency, Publishers: c.Publishers, Subscribers: c.Subscribers, Rate: c.Rate})
}

func (c *benchConnections) Run(ctx context.Context, s *Streams) error {
	return c.run(ctx, s, &benchLoad{}, bench.Config{Scenario: bench.Connections, Count: c.Count})
}

func (c *benchRequest) Run(ctx context.Context, s *Streams) error {
	return c.run(ctx, s, &c.benchLoad, bench.Config{Scenario: bench.Request, Inflight: c.Inflight, Topic: c.Topic, ResponseTopic: c.Response})
}

func (c *benchSubs) Run(ctx context.Context, s *Streams) error {
	return c.run(ctx, s, &c.benchLoad, bench.Config{Scenario: bench.Subs, Count: c.Count})
}

func (c *benchRetained) Run(ctx context.Context, s *Streams) error {
	return c.run(ctx, s, &c.benchLoad, bench.Config{Scenario: bench.Retained, Count: c.Count})
}

func (c *benchOffline) Run(ctx context.Context, s *Streams) error {
	c.QoS = max(1, c.QoS)
	return c.run(ctx, s, &c.benchLoad, bench.Config{Scenario: bench.Offline, Count: c.Count})
}

// Help is the example that --help shows.
func (*benchThroughput) Help() string {
	return `Example:
  topicwire bench throughput -q 1 --duration 10s --pid $(pidof topicwire)`
}

// Help is the example that --help shows.
func (*benchFanout) Help() string {
	return `Example:
  topicwire bench fanout -L ws://localhost:8080/mqtt --subscribers 500`
}

// Help is the example that --help shows.
func (*benchFanin) Help() string {
	return `Example:
  topicwire bench fanin -q 1 --publishers 100 --json`
}

// Help is the example that --help shows.
func (*benchPairs) Help() string {
	return `Example:
  topicwire bench pairs -q 1 --pairs 200 --window 1`
}

// Help is the example that --help shows.
func (*benchLatency) Help() string {
	return `Example:
  topicwire bench latency -q 1 --rate 5000 --duration 10s`
}

// Help is the example that --help shows.
func (*benchConnections) Help() string {
	return `Example:
  topicwire bench connections -n 20000 --pid $(pidof topicwire)`
}

// Help is the example that --help shows.
func (*benchRequest) Help() string {
	return `Example:
  topicwire bench request -t hello/bench --inflight 64`
}

// Help is the example that --help shows.
func (*benchSubs) Help() string {
	return `Example:
  topicwire bench subs -n 100000 --pid $(pidof topicwire)`
}

// Help is the example that --help shows.
func (*benchRetained) Help() string {
	return `Example:
  topicwire bench retained -n 50000`
}

// Help is the example that --help shows.
func (*benchOffline) Help() string {
	return `Example:
  topicwire bench offline -q 1 -n 50000`
}
