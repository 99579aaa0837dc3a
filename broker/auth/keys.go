package auth

import "sync"

// Key is an access key as AWS's signatures use it.
type Key struct {
	// ID is the access key ID, which travels in the open.
	ID string
	// Secret is the secret access key; it never leaves the table but for a comparison.
	Secret string
	// Token is the session token that goes with a temporary key; "" = none is asked for.
	Token string
	// Principal is whoever signs with the key.
	Principal *Principal
}

// Keys is the table of the access keys that this server knows: those of its
// configuration and those that it has given to the processes of emulated functions.
// It is safe for concurrent use; the zero value is empty.
type Keys struct {
	mu   sync.RWMutex
	keys map[string]Key
}

// Put adds or replaces a key.
func (t *Keys) Put(k Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys == nil {
		t.keys = make(map[string]Key)
	}
	t.keys[k.ID] = k
}

// Delete removes a key.
func (t *Keys) Delete(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, id)
}

// Find looks a key up.
func (t *Keys) Find(id string) (Key, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	k, ok := t.keys[id]
	return k, ok
}

// Len is how many keys there are.
func (t *Keys) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.keys)
}
