package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
)

// jwtKey is a key that tokens may be signed with. Which algorithms it is for follows
// from its type, and never from a token: what is public in one cannot be a secret in
// another.
type jwtKey struct {
	id        string // kid; "" = not known
	algorithm string // "" = all that its type allows
	key       any    // []byte, *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey
}

// fits reports whether the key may check a token with that algorithm and key id.
func (k *jwtKey) fits(algorithm, id string) bool {
	if k.algorithm != "" && k.algorithm != algorithm || id != "" && k.id != "" && k.id != id {
		return false
	}
	switch key := k.key.(type) {
	case []byte:
		return strings.HasPrefix(algorithm, "HS")
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	default:
		return false
	}
}

var (
	errNoPublicKey = errors.New("has no public key or certificate in PEM, and no JSON Web Key Set")
	errShortRSA    = errors.New("has an RSA key of less than 2048 bits")
	errPrivateKey  = errors.New("has a private key: only its issuer should have it; name a file with the public key, made for example by openssl pkey -pubout")
)

// readKeys reads the public keys in a file.
func readKeys(path string) ([]jwtKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: cannot read a key: %w", err)
	}
	keys, err := parseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("auth: %s %w", path, err)
	}
	return keys, nil
}

func parseKeys(data []byte) ([]jwtKey, error) {
	if t := bytes.TrimSpace(data); len(t) > 0 && t[0] == '{' {
		keys, err := parseJWKS(data)
		if err == nil && len(keys) == 0 {
			err = errNoPublicKey
		}
		return keys, err
	}
	var keys []jwtKey
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		key, err := parsePublic(block)
		if err != nil {
			return nil, err
		}
		keys = append(keys, jwtKey{key: key})
	}
	if len(keys) == 0 {
		return nil, errNoPublicKey
	}
	return keys, nil
}

func parsePublic(block *pem.Block) (any, error) {
	var key any
	var err error
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errPrivateKey
	case block.Type == "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = cert.PublicKey
		}
	case block.Type == "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("has a %s that cannot be read: %w", block.Type, err)
	}
	return key, checkPublic(key)
}

func checkPublic(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return errShortRSA
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return fmt.Errorf("has a key of a kind that signs no tokens: %T", key)
	}
	return nil
}

// parseJWKS reads the keys of a JSON Web Key Set (RFC 7517) that check signatures. It
// leaves out what it does not know, as the RFC asks, and symmetric keys: what is
// published is no secret.
func parseJWKS(data []byte) ([]jwtKey, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("is no JSON Web Key Set: %w", err)
	}
	var keys []jwtKey
	for _, m := range set.Keys {
		if m.USE != "" && m.USE != jwkset.UseSig || len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
			continue
		}
		jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipKeyOps: true, SkipMetadata: true})
		if err != nil || checkPublic(jwk.Key()) != nil {
			continue
		}
		keys = append(keys, jwtKey{id: m.KID, algorithm: string(m.ALG), key: jwk.Key()})
	}
	return keys, nil
}

// fitting are the keys of a list that fit.
func fitting(all []jwtKey, algorithm, id string) []any {
	var keys []any
	for i := range all {
		if all[i].fits(algorithm, id) {
			keys = append(keys, all[i].key)
		}
	}
	return keys
}
