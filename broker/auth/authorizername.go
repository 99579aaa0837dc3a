package auth

import "strings"

// namesAuthorizer reports a user name whose query part is for a custom authorizer.
func namesAuthorizer(username string) bool {
	_, query, ok := strings.Cut(username, "?")
	return ok && strings.Contains(strings.ToLower(query), "x-amz-customauthorizer-")
}
