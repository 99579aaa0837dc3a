package broker

import (
	"fmt"
	"time"
)

// RateLimits bound how much clients may do a second, and what AWS IoT Core limits
// beside that. Zero = no limit.
type RateLimits struct {
	PublishRatePerClient float64 `yaml:"publish_rate_per_client" jsonschema:"minimum=0,example=100" jsonschema_description:"Messages a second from and to one client together; what is too much from it is not taken, to it QoS 0 is dropped and QoS 1 and 2 wait. No limit by default."`
	ThroughputPerClient  int     `yaml:"throughput_per_client" unit:"bytes" jsonschema:"minimum=0,example=512KB" jsonschema_description:"Bytes a second from and to one client together; the rest is delayed. No limit by default."`
	ConnectRatePerClient float64 `yaml:"connect_rate_per_client" jsonschema:"minimum=0,example=1" jsonschema_description:"Connections a second under one client identifier; more are refused. No limit by default."`
	ConnectRate          float64 `yaml:"connect_rate" jsonschema:"minimum=0,example=3000" jsonschema_description:"Connections a second of all clients together; more are refused. No limit by default."`
	PublishRate          float64 `yaml:"publish_rate" jsonschema:"minimum=0,example=20000" jsonschema_description:"Messages a second from all clients together; more are not taken. No limit by default."`
	RetainedRate         float64 `yaml:"retained_rate" jsonschema:"minimum=0,example=500" jsonschema_description:"Retained messages a second from all clients together; more are not taken. No limit by default."`
	RetainedRatePerTopic float64 `yaml:"retained_rate_per_topic" jsonschema:"minimum=0,example=1" jsonschema_description:"Retained messages a second to one topic; more are not taken. No limit by default."`
	QueuedRate           float64 `yaml:"queued_rate" jsonschema:"minimum=0,example=500" jsonschema_description:"QoS 1 and 2 messages a second that are kept for clients that are away, of all clients together; more are dropped, and counted. No limit by default."`

	MaxContentType        int           `yaml:"max_content_type" unit:"bytes" jsonschema:"minimum=0,example=256" jsonschema_description:"Longest content type of a message; by default only the packet size limits it."`
	MaxCorrelationData    int           `yaml:"max_correlation_data" unit:"bytes" jsonschema:"minimum=0,example=8KB" jsonschema_description:"Longest correlation data of a message; by default only the packet size limits it."`
	MaxUserProperties     int           `yaml:"max_user_properties" unit:"bytes" jsonschema:"minimum=0,example=8KB" jsonschema_description:"Most bytes of all user properties of a message together; by default only the packet size limits them."`
	MaxTotalSubscriptions int           `yaml:"max_total_subscriptions" jsonschema:"minimum=0,example=500000" jsonschema_description:"Most subscriptions of all clients together. No limit by default."`
	MaxSharedGroups       int           `yaml:"max_shared_groups" jsonschema:"minimum=0,example=100" jsonschema_description:"Most different shared subscriptions ($share/NAME/FILTER). No limit by default."`
	MaxSharedMembers      int           `yaml:"max_shared_members" jsonschema:"minimum=0,example=100" jsonschema_description:"Most clients of one shared subscription. No limit by default."`
	MaxSharedQueued       int           `yaml:"max_shared_queued" jsonschema:"minimum=0,example=500000" jsonschema_description:"Most QoS 1 and 2 messages that wait for the clients of one shared subscription, in all their queues together; those that come then are dropped, or refused with queue.policy: refuse. No limit by default."`
	MaxWebSocketLifetime  time.Duration `yaml:"max_websocket_lifetime" jsonschema:"example=24h" jsonschema_description:"How long a WebSocket connection may last; then it is closed with reason code 0xA0. No limit by default."`
}

// awsRates are AWS IoT Core's, of an account in a large region.
func awsRates() RateLimits {
	return RateLimits{
		PublishRatePerClient: 100, ThroughputPerClient: 512 << 10, ConnectRatePerClient: 1,
		ConnectRate: 3000, PublishRate: 20_000, RetainedRate: 500, RetainedRatePerTopic: 1, QueuedRate: 500,
		MaxContentType: 256, MaxCorrelationData: 8 << 10, MaxUserProperties: 8 << 10,
		MaxTotalSubscriptions: 500_000, MaxSharedGroups: 100, MaxSharedMembers: 100, MaxSharedQueued: 500_000,
		MaxWebSocketLifetime: 24 * time.Hour,
	}
}

// fill takes over p's value for every field that is zero.
func (r *RateLimits) fill(p *RateLimits) {
	fill(&r.PublishRatePerClient, p.PublishRatePerClient)
	fill(&r.ThroughputPerClient, p.ThroughputPerClient)
	fill(&r.ConnectRatePerClient, p.ConnectRatePerClient)
	fill(&r.ConnectRate, p.ConnectRate)
	fill(&r.PublishRate, p.PublishRate)
	fill(&r.RetainedRate, p.RetainedRate)
	fill(&r.RetainedRatePerTopic, p.RetainedRatePerTopic)
	fill(&r.QueuedRate, p.QueuedRate)
	fill(&r.MaxContentType, p.MaxContentType)
	fill(&r.MaxCorrelationData, p.MaxCorrelationData)
	fill(&r.MaxUserProperties, p.MaxUserProperties)
	fill(&r.MaxTotalSubscriptions, p.MaxTotalSubscriptions)
	fill(&r.MaxSharedGroups, p.MaxSharedGroups)
	fill(&r.MaxSharedMembers, p.MaxSharedMembers)
	fill(&r.MaxSharedQueued, p.MaxSharedQueued)
	fill(&r.MaxWebSocketLifetime, p.MaxWebSocketLifetime)
}

// Check reports values that make no sense.
func (r RateLimits) Check(report func(path, problem, remedy string)) {
	const remedy = "write a positive number, or leave it out for no limit"
	for _, f := range []struct {
		path  string
		value float64
	}{
		{"publish_rate_per_client", r.PublishRatePerClient},
		{"throughput_per_client", float64(r.ThroughputPerClient)},
		{"connect_rate_per_client", r.ConnectRatePerClient},
		{"connect_rate", r.ConnectRate},
		{"publish_rate", r.PublishRate},
		{"retained_rate", r.RetainedRate},
		{"retained_rate_per_topic", r.RetainedRatePerTopic},
		{"queued_rate", r.QueuedRate},
		{"max_content_type", float64(r.MaxContentType)},
		{"max_correlation_data", float64(r.MaxCorrelationData)},
		{"max_user_properties", float64(r.MaxUserProperties)},
		{"max_total_subscriptions", float64(r.MaxTotalSubscriptions)},
		{"max_shared_groups", float64(r.MaxSharedGroups)},
		{"max_shared_members", float64(r.MaxSharedMembers)},
		{"max_shared_queued", float64(r.MaxSharedQueued)},
	} {
		if f.value < 0 {
			report(f.path, "is negative", remedy)
		}
	}
	if t := r.ThroughputPerClient; t > 0 && t < 1024 {
		report("throughput_per_client", fmt.Sprintf("%d bytes a second are too few for any client", t), "write at least 1KB")
	}
	if t := r.MaxWebSocketLifetime; t < 0 || t > 0 && t < time.Second {
		report("max_websocket_lifetime", t.String()+" is below one second", "write at least 1s, or leave it out for no limit")
	}
}
