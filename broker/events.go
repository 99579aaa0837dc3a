package broker

// eventPrefix begins the topics of lifecycle events.
const eventPrefix = "$aws/events/"

// endedFor notes why the connection has been ended.
func (c *connection) endedFor(reason) {}

// connectFailed tells of a client that was not allowed to connect.
func (c *connection) connectFailed() {}
