package auth

import "time"

// SetNow puts another clock in the place of the real one, before Prepare.
func (a *Authenticator) SetNow(now func() time.Time) {
	a.now = now
	a.failures.now = now
}
