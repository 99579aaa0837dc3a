package outbox

// Queues is how many queues o keeps, Lanes how many lanes there are in them.
func Queues(o *Outbox) (queues, lanes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, q := range o.queues {
		lanes += len(q.lanes)
	}
	return len(o.queues), lanes
}
