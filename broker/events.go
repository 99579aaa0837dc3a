package broker

// eventPrefix begins the topics of lifecycle events.
const eventPrefix = "$aws/events/"

// connectFailed tells of a client that was not allowed to connect.
func (c *connection) connectFailed() {}
