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
