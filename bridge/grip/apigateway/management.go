package apigateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/socket"
)

// managementPath is what the URLs of connections have behind domain and stage.
const managementPath = "/@connections/"

// IsManagement reports whether a request is for the API Gateway Management API, whatever
// stands before @connections.
func IsManagement(r *http.Request) bool { return strings.Contains(r.URL.Path, managementPath) }

// connectionID is the id that a request is about, unescaped.
func connectionID(r *http.Request) string {
	_, id, _ := strings.Cut(r.URL.Path, managementPath)
	return id
}

// TopicOf is the topic of the connection that a request is about: whoever may publish there
// may use the connection.
func TopicOf(r *http.Request) string { return TopicPrefix + connectionID(r) }

// Management is the API Gateway Management API, version 2018-11-29: a function posts to a
// connection, asks about it or ends it. authorize may be nil.
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html)
func (g *Gateway) Management(authorize func(*http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-RequestId", newID())
		if authorize != nil {
			if err := authorize(r); err != nil {
				g.fault(w, r, http.StatusForbidden, "ForbiddenException", err.Error())
				return
			}
		}
		c := g.find(connectionID(r))
		switch {
		case r.Method != http.MethodPost && r.Method != http.MethodGet && r.Method != http.MethodDelete:
			w.Header().Set("Allow", "DELETE, GET, POST")
			g.fault(w, r, http.StatusMethodNotAllowed, "MethodNotAllowedException", "POST, GET or DELETE")
		case c == nil || c.isClosing():
			g.faultGone(w, r)
		case r.Method == http.MethodPost:
			c.servePost(w, r)
		case r.Method == http.MethodGet:
			c.serveGet(w, r)
		default:
			c.close(socket.CloseNormal, reasonNormal)
			w.WriteHeader(http.StatusNoContent)
			g.metrics.managed(r.Method, http.StatusNoContent)
		}
	})
}

// servePost sends the request's body to the client.
func (c *connection) servePost(w http.ResponseWriter, r *http.Request) {
	most := int64(c.api.limits.message)
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	switch {
	case err != nil:
		c.g.fault(w, r, http.StatusBadRequest, "BadRequestException", "the body ended early")
		return
	case int64(len(body)) > most:
		c.g.fault(w, r, http.StatusRequestEntityTooLarge, "PayloadTooLargeException", "Message too long")
		return
	}
	switch err := c.sock.Load().Offer(frameOf(body)); {
	case errors.Is(err, socket.ErrFull):
		c.g.fault(w, r, http.StatusTooManyRequests, "LimitExceededException", "The client reads too slowly")
	case err != nil:
		c.g.faultGone(w, r)
	default:
		c.touch()
		w.WriteHeader(http.StatusOK)
		c.g.metrics.managed(r.Method, http.StatusOK)
	}
}

// serveGet says since when the client is connected and who it is.
func (c *connection) serveGet(w http.ResponseWriter, r *http.Request) {
	const form = "2006-01-02T15:04:05.000Z"
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(encode(struct {
		ConnectedAt  string   `json:"connectedAt"`
		Identity     identity `json:"identity"`
		LastActiveAt string   `json:"lastActiveAt"`
	}{c.connectedAt.UTC().Format(form), c.identity, time.UnixMilli(c.lastActive.Load()).UTC().Format(form)}))
	c.g.metrics.managed(r.Method, http.StatusOK)
}

func (g *Gateway) faultGone(w http.ResponseWriter, r *http.Request) {
	g.fault(w, r, http.StatusGone, "GoneException", "The connection has ended, or never was")
}

// fault answers as AWS's services do: the type of the error in a header, its text in JSON.
func (g *Gateway) fault(w http.ResponseWriter, r *http.Request, status int, kind, text string) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 256<<10)) // so that the connection can be used again
	w.Header().Set("X-Amzn-ErrorType", kind)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": text}) // the caller may have gone
	g.metrics.managed(r.Method, status)
}
