package function

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
)

// SigV4 is AWS's signature, version 4.
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)
type SigV4 struct {
	Service string `yaml:"service" jsonschema:"example=lambda" jsonschema_description:"The service's name in signatures. Left out, it is told from the URL of a Lambda Function URL (lambda) or an API Gateway (execute-api)."`
	Region  string `yaml:"region" jsonschema:"example=eu-central-1" jsonschema_description:"The region. Left out, it is the URL's, else AWS_REGION's or the AWS configuration file's."`
}

// filledFor fills in what the host of a URL tells: ID.lambda-url.REGION.on.aws or
// ID.execute-api.REGION.amazonaws.com.
func (s SigV4) filledFor(address string) SigV4 {
	u, err := url.Parse(address)
	if err != nil {
		return s
	}
	host := strings.Split(u.Hostname(), ".")
	for i := 1; i+2 < len(host); i++ {
		service := map[string]string{"lambda-url": "lambda", "execute-api": "execute-api"}[host[i]]
		if service == "" {
			continue
		}
		if s.Service == "" {
			s.Service = service
		}
		if s.Region == "" {
			s.Region = host[i+1]
		}
		break
	}
	return s
}

// signer signs requests.
type signer struct {
	signer      *v4.Signer
	credentials aws.CredentialsProvider
	service     string
	region      string
}

// newSigner finds credentials where AWS's own tools take them. It asks for none yet.
func newSigner(ctx context.Context, s SigV4, clients *awsClients) (*signer, error) {
	cfg, err := clients.shared(ctx)
	if err != nil {
		return nil, err
	}
	if s.Region == "" {
		s.Region = cfg.Region
	}
	if s.Region == "" {
		return nil, fmt.Errorf("%w: no AWS region: set auth.sigv4.region, or AWS_REGION", ErrUnavailable)
	}
	return &signer{signer: v4.NewSigner(), credentials: cfg.Credentials, service: s.Service, region: s.Region}, nil
}

func (s *signer) sign(r *http.Request, body []byte) error {
	c, err := s.credentials.Retrieve(r.Context())
	if err != nil {
		return fmt.Errorf("%w: there are no AWS credentials to sign with: %w", ErrUnavailable, err)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	if err := s.signer.SignHTTP(r.Context(), c, r, hash, s.service, s.region, time.Now()); err != nil {
		return fmt.Errorf("the request could not be signed: %w", err)
	}
	return nil
}

// shared is the AWS configuration of this machine.
func (a *awsClients) shared(ctx context.Context) (aws.Config, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.config == nil {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return aws.Config{}, fmt.Errorf("cannot read the AWS configuration: %w", err)
		}
		a.config = &cfg
	}
	return *a.config, nil
}
