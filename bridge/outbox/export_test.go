package outbox

// Queues is how many queues m keeps.
func Queues(m *Memory) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queues)
}
