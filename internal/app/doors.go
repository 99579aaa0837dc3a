package app

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/topicwire/topicwire/bridge/emulator/invokeapi"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/iotdata"
	"github.com/topicwire/topicwire/internal/config"
)

// doors are the AWS interfaces through which functions talk back, and people too:
// Lambda's own, and AWS IoT's data plane.
type doors struct {
	a      *app
	which  config.Doors
	keys   *functionKeys
	lambda *invokeapi.Handler
	iot    *iotdata.Handler

	endpoint string // where the functions find them; empty until they are open
	private  *privateServer
}

// newDoors makes the doors, closed. What they need of a besides its configuration has
// to be there when they are opened.
func newDoors(a *app, cfg *config.Config) *doors {
	return &doors{a: a, which: cfg.Doors, keys: newFunctionKeys(a.keys, a.functionPrincipals(cfg))}
}

// open makes the doors and puts them before another handler.
func (d *doors) open(cfg *config.Config, others http.Handler) http.Handler {
	d.lambda = invokeapi.New(invokeapi.Options{
		Functions: callable{d.a}, Authenticate: d.lambdaCaller, Log: d.a.log, Metrics: d.a.metrics,
	})
	limits := cfg.Limits.Effective()
	most := limits.MaxPayloadSize
	if most == 0 { // what MQTT would take
		most = limits.MaxPacketSize
	}
	d.iot = iotdata.New(iotdata.Options{
		Broker: d.a.broker, Authenticate: d.iotCaller, MaxPayload: most, Log: d.a.log, Metrics: d.a.metrics,
	})
	return d.before(others)
}

// before serves what belongs to a door, by the path as it was sent: a mux would take
// offence at what SDKs escape, such as an empty topic level.
func (d *doors) before(others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.EscapedPath(); {
		case d.which.Lambda.On() && invokeapi.Mine(path):
			d.lambda.ServeHTTP(w, r)
		case d.which.IoTData.On() && iotdata.Mine(path):
			d.iot.ServeHTTP(w, r)
		default:
			others.ServeHTTP(w, r)
		}
	})
}

// listen opens the port at which the functions of this server find the doors. It is
// their own, so that it is there whatever listen says, and lasts as long as they have
// something to do.
func (d *doors) listen(ctx context.Context) error {
	if !d.which.Lambda.On() && !d.which.IoTData.On() {
		return nil
	}
	var err error
	if d.private, err = newPrivateServer(ctx, d.before(http.NotFoundHandler())); err != nil {
		return err
	}
	d.endpoint = "http://" + d.private.listener.Addr().String()
	return nil
}

// Run serves that port until ctx ends.
func (d *doors) Run(ctx context.Context) error {
	if d.private == nil {
		<-ctx.Done()
		return nil
	}
	return d.private.Run(ctx)
}

// close gives up doors that are not run.
func (d *doors) close() {
	if d.private != nil {
		_ = d.private.listener.Close()
	}
}

// env is what the processes of a function get to talk back: where, and with which key.
// The session token names the process, so that what it asks can be told to belong to
// the invocation it works on.
func (d *doors) env(name, token string) map[string]string {
	key := d.keys.of(name)
	v := map[string]string{
		"AWS_ACCESS_KEY_ID": key.ID, "AWS_SECRET_ACCESS_KEY": key.Secret, "AWS_SESSION_TOKEN": token,
	}
	if d.endpoint == "" {
		return v
	}
	if d.which.Lambda.On() {
		v["AWS_ENDPOINT_URL_LAMBDA"] = d.endpoint
	}
	if d.which.IoTData.On() {
		v["AWS_ENDPOINT_URL_IOT_DATA_PLANE"] = d.endpoint
	}
	return v
}

func (d *doors) iotCaller(r *http.Request, body []byte) (iotdata.Caller, error) {
	p, hops, err := d.caller(r, body)
	if local, ok := errors.AsType[*notLocalError](err); ok {
		return iotdata.Caller{}, &iotdata.Error{Status: http.StatusForbidden, Type: "ForbiddenException", Message: local.Error()}
	}
	return iotdata.Caller{Principal: p, Hops: hops}, err
}

func (d *doors) lambdaCaller(r *http.Request, body []byte) (invokeapi.Caller, error) {
	p, hops, err := d.caller(r, body)
	if err != nil {
		return invokeapi.Caller{}, d.stranger(r, err)
	}
	return invokeapi.Caller{Name: p.Name, Hops: hops, May: func(action, function string) bool {
		if action == invokeapi.ActionInvoke {
			return p.May(auth.InvokeFunction, function)
		}
		return p.May(auth.Admin, "")
	}}, nil
}

// stranger is the Lambda door's answer for a caller whom nobody knows.
func (d *doors) stranger(r *http.Request, err error) error {
	if local, ok := errors.AsType[*notLocalError](err); ok {
		return &invokeapi.Error{Status: http.StatusForbidden, Type: "AccessDeniedException", Message: local.Error()}
	}
	d.a.log.Debug().Err(err).Str("remote", r.RemoteAddr).Msg("the caller of the Lambda interface was refused")
	switch auth.HTTPStatus(err) {
	case http.StatusUnauthorized:
		return &invokeapi.Error{Status: http.StatusForbidden, Type: "MissingAuthenticationTokenException", Message: "Missing Authentication Token"}
	case http.StatusForbidden:
		return &invokeapi.Error{Status: http.StatusForbidden, Type: "InvalidSignatureException", Message: cmp.Or(auth.Told(err), "the credentials are refused")}
	case http.StatusTooManyRequests:
		return &invokeapi.Error{Status: http.StatusTooManyRequests, Type: "TooManyRequestsException", Message: "too many wrong credentials", Reason: "CallerRateLimitExceeded"}
	default:
		return &invokeapi.Error{Status: http.StatusServiceUnavailable, Type: "ServiceException", Message: "the credentials cannot be checked now"}
	}
}

// callable is the functions as the Lambda door sees them: those of the configuration that
// holds now.
type callable struct{ a *app }

func (c callable) Names() []string { return c.a.functions.current().Names() }

func (c callable) Describe(nameOrARN string) (function.Description, bool) {
	return c.a.functions.current().Describe(nameOrARN)
}

func (c callable) Invoke(ctx context.Context, name string, payload []byte) ([]byte, error) {
	return c.a.bridge.Invoke(ctx, name, payload)
}

func (c callable) InvokeLater(ctx context.Context, name string, payload []byte) error {
	return c.a.bridge.InvokeLater(ctx, name, payload)
}

func (c callable) SetConcurrency(nameOrARN string, n int) (int, error) {
	return c.a.functions.current().SetConcurrency(nameOrARN, n)
}
