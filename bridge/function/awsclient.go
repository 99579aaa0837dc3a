package function

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go/logging"
	"github.com/rs/zerolog"
)

// awsClients makes one Lambda client per endpoint and region, so that functions share
// connections and credentials.
type awsClients struct {
	mu      sync.Mutex
	clients map[awsPlace]*awsClient
	turns   map[string]chan struct{} // by endpoint: see rie
	config  *aws.Config              // for what is signed and is no Lambda client; nil until needed
}

type awsClient struct {
	lambda    *lambda.Client
	transport *http.Transport
}

type awsPlace struct{ endpoint, region string }

// get returns the client for a place. An empty region is what the environment and the
// shared configuration files say.
func (a *awsClients) get(ctx context.Context, p awsPlace, log zerolog.Logger) (*lambda.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.clients[p]; c != nil {
		return c.lambda, nil
	}
	c, err := newAWSClient(ctx, p, log)
	if err != nil {
		return nil, err
	}
	if a.clients == nil {
		a.clients = make(map[awsPlace]*awsClient)
	}
	a.clients[p] = c
	return c.lambda, nil
}

// turn is what invocations take one after the other of an endpoint that may be a Runtime
// Interface Emulator.
func (a *awsClients) turn(endpoint string) chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	endpoint = strings.TrimSuffix(endpoint, "/")
	if a.turns[endpoint] == nil {
		if a.turns == nil {
			a.turns = make(map[string]chan struct{})
		}
		a.turns[endpoint] = make(chan struct{}, 1)
	}
	return a.turns[endpoint]
}

// closeIdle closes the connections that no invocation uses.
func (a *awsClients) closeIdle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.clients {
		c.transport.CloseIdleConnections()
	}
}

func newAWSClient(ctx context.Context, p awsPlace, log zerolog.Logger) (*awsClient, error) {
	pooled := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		// An invocation holds its connection until it is answered, so the pool has to
		// be as large as the concurrency: the SDK's 10 per host cost 40 % at 64.
		t.MaxIdleConns = 4096
		t.MaxIdleConnsPerHost = maxConcurrency
	})
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(pooled),
		// One attempt: the outbox retries, and the SDK's budget of retries is shared
		// by all functions of a client, so that one sick function starves the others.
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if p.region != "" {
		options = append(options, config.WithRegion(p.region))
	}
	if p.endpoint != "" {
		// No emulator has an instance metadata service, and asking for it takes seconds.
		options = append(options, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("cannot read the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		if p.endpoint == "" {
			return nil, fmt.Errorf("%w: no AWS region: set region beside lambda, or AWS_REGION", ErrUnavailable)
		}
		cfg.Region = "us-east-1" // emulators want one and do not care which
	}
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok { // AWS_CA_BUNDLE makes it another one
		pooled = b
	}
	transport := pooled.GetTransport()
	client := lambda.NewFromConfig(cfg, func(o *lambda.Options) {
		o.Logger = logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) {
			log.Debug().Str("from", "aws-sdk").Msgf(format, v...)
		})
		o.HTTPClient = limitedClient{&http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
		if p.endpoint == "" {
			return
		}
		o.BaseEndpoint = aws.String(strings.TrimSuffix(p.endpoint, "/"))
		o.Credentials = aws.NewCredentialsCache(orDummy{cfg.Credentials})
	})
	return &awsClient{lambda: client, transport: transport}, nil
}

// orDummy gives the credentials that are configured, or invented ones if there are
// none: a Lambda emulator wants a signature and does not check it.
type orDummy struct{ configured aws.CredentialsProvider }

func (p orDummy) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if p.configured != nil {
		c, err := p.configured.Retrieve(ctx)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
	}
	c, err := credentials.NewStaticCredentialsProvider("test", "test", "").Retrieve(ctx)
	c.CanExpire, c.Expires = true, time.Now().Add(time.Minute) // look again for real ones
	return c, err
}

// limitedClient stops reading an answer beyond MaxResponse, whatever the endpoint is,
// and sends the event from memory.
//
// The SDK closes the body that it gave to net/http as soon as an answer begins, and a
// closed one reads as an error there. If the answer is quicker than net/http's last look
// at the body, which takes a server on this machine and an answer of megabytes, the
// connection is torn down in the middle of it. A reader that net/http knows has
// no such end, and lets it send headers and event in one packet.
type limitedClient struct{ inner aws.HTTPClient }

func (c limitedClient) Do(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.ContentLength > 0 {
		event := make([]byte, req.ContentLength)
		if _, err := io.ReadFull(req.Body, event); err != nil {
			return nil, err
		}
		req = req.WithContext(req.Context()) // a shallow copy: the SDK keeps its own
		req.Body = io.NopCloser(bytes.NewReader(event))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(event)), nil }
	}
	// Lambda hands the trace on to the function, whose SDK sends it along with what it
	// calls in turn. The signature does not cover it.
	call := CallFrom(req.Context())
	req.Header.Set("X-Amzn-Trace-Id", call.trace().XRay())
	resp, err := c.inner.Do(req)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(req.URL.Path, streamPath) || call.Stream != nil {
		return resp, nil // who reads it counts
	}
	if resp.ContentLength > MaxResponse {
		resp.Body.Close() //nolint:errcheck // nothing is lost
		return nil, ErrResponseTooLarge
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: MaxResponse}
	return resp, nil
}

type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, ErrResponseTooLarge
	}
	return n, err
}
