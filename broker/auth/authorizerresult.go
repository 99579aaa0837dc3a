package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// authorizerResult is what an authorizer's function answers.
type authorizerResult struct {
	IsAuthenticated bool              `json:"isAuthenticated"`
	PrincipalID     string            `json:"principalId"`
	Disconnect      *int              `json:"disconnectAfterInSeconds"`
	Refresh         *int              `json:"refreshAfterInSeconds"`
	Documents       []json.RawMessage `json:"policyDocuments"`
}

// AWS's limits. A time of less than 300 seconds is taken all the same, so that one's own
// tests need not wait for it.
const (
	maxAuthorizerSeconds = 86400
	maxDocuments         = 10
	maxDocument          = 2048 // without white space
	maxResult            = 256 << 10
)

var (
	principalID = regexp.MustCompile(`^[A-Za-z0-9]{1,128}$`)

	errResult = errors.New("the authorizer's answer cannot be used")
)

// readResult reads a function's answer and says what is wrong with it.
func readResult(data []byte) (*authorizerResult, [][]byte, error) {
	if len(data) > maxResult {
		return nil, nil, fmt.Errorf("%w: it has %d bytes", errResult, len(data))
	}
	var r *authorizerResult
	if err := json.Unmarshal(data, &r); err != nil || r == nil {
		return nil, nil, fmt.Errorf("%w: it is no JSON object with isAuthenticated, principalId and policyDocuments", errResult)
	}
	if !r.IsAuthenticated {
		return r, nil, nil
	}
	switch {
	case !principalID.MatchString(r.PrincipalID):
		return nil, nil, fmt.Errorf("%w: principalId is not 1 to 128 letters and digits", errResult)
	case len(r.Documents) == 0:
		return nil, nil, fmt.Errorf("%w: policyDocuments is empty", errResult)
	case len(r.Documents) > maxDocuments:
		return nil, nil, fmt.Errorf("%w: it has %d policyDocuments, more than %d", errResult, len(r.Documents), maxDocuments)
	}
	for name, seconds := range map[string]*int{"disconnectAfterInSeconds": r.Disconnect, "refreshAfterInSeconds": r.Refresh} {
		if seconds != nil && (*seconds < 1 || *seconds > maxAuthorizerSeconds) {
			return nil, nil, fmt.Errorf("%w: %s is %d, not 300 to %d", errResult, name, *seconds, maxAuthorizerSeconds)
		}
	}
	documents, err := r.documents()
	return r, documents, err
}

// documents are the policies, which may stand there as objects or as text.
func (r *authorizerResult) documents() ([][]byte, error) {
	documents := make([][]byte, len(r.Documents))
	for i, d := range r.Documents {
		var text string
		if json.Unmarshal(d, &text) == nil {
			d = json.RawMessage(text)
		}
		var small bytes.Buffer
		if err := json.Compact(&small, d); err != nil || small.Len() == 0 || small.Bytes()[0] != '{' {
			return nil, fmt.Errorf("%w: policyDocuments[%d] is no policy document", errResult, i)
		}
		if small.Len() > maxDocument {
			return nil, fmt.Errorf("%w: policyDocuments[%d] has %d characters, more than %d", errResult, i, small.Len(), maxDocument)
		}
		documents[i] = small.Bytes()
	}
	return documents, nil
}

// lasts is how long the connection may last, and when the authorizer is to be asked
// again; 0 = not before it ends.
func (r *authorizerResult) lasts() (disconnect, refresh time.Duration) {
	disconnect = maxAuthorizerSeconds * time.Second
	if r.Disconnect != nil {
		disconnect = time.Duration(*r.Disconnect) * time.Second
	}
	if r.Refresh != nil {
		refresh = time.Duration(*r.Refresh) * time.Second
	}
	return disconnect, refresh
}
