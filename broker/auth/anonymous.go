package auth

import "context"

// Anonymous is the method that lets everybody in with all rights, whatever they show.
// It is for development on one machine: the
// broker refuses to start with it when a listener can be reached from outside.
type Anonymous struct{}

// Authenticate names the anonymous principal. A user name or password is ignored: there are no users to check it against.
func (Anonymous) Authenticate(context.Context, *Credentials) (*Principal, error) {
	return &Principal{Policy: AllowAll{}}, nil
}
