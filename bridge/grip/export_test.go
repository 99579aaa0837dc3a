package grip

import "time"

// TokenForTest is a publisher's JWT.
func TokenForTest(iss, secret string, exp int64) string {
	return signHS256(map[string]any{"iss": iss, "exp": exp}, []byte(secret))
}

// VerifyForTest checks a Grip-Sig made with a shared secret.
func VerifyForTest(token, secret string) (iss string, ok bool) {
	c, ok := verifyHS256(token, []byte(secret), time.Now())
	if !ok {
		return "", false
	}
	return c.Iss, true
}

// Watching reports whether the window is open.
func (d *Door) Watching() bool {
	d.window.mu.Lock()
	defer d.window.mu.Unlock()
	return d.window.users > 0
}

// SetInvoker puts another invoker in the place of the functions.
func (d *Door) SetInvoker(i Invoker) {
	d.handlers[ModeGrip] = gripHandler{d, lambdaHandler{i}}
}
