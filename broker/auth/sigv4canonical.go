package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// signature is what a request says about how it is signed.
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)
type signature struct {
	keyID, day, region, service string // of the credential scope
	date                        string // YYYYMMDDTHHMMSSZ
	expires                     string // X-Amz-Expires; "" = none
	token                       string // X-Amz-Security-Token
	headers                     []string
	mac                         []byte
	presigned                   bool
	query                       []param // all of the URL's but the signature
}

type param struct{ name, value string }

const sigV4Algorithm = "AWS4-HMAC-SHA256"

// The words of a presigned URL's query, and the header that carries the same.
const (
	amzAlgorithm     = "X-Amz-Algorithm"
	amzCredential    = "X-Amz-Credential" //nolint:gosec // a name
	amzDate          = "X-Amz-Date"
	amzExpires       = "X-Amz-Expires"
	amzSignedHeaders = "X-Amz-SignedHeaders"
	amzSignature     = "X-Amz-Signature"
	amzToken         = "X-Amz-Security-Token" //nolint:gosec // a name
	amzContent       = "X-Amz-Content-Sha256"
)

var (
	errNotSigned = errors.New("the request is not signed")
	errSignature = errors.New("the signature is incomplete or malformed")
)

// signatureOf finds out how a request is signed. It checks the form only.
func signatureOf(r *http.Request) (*signature, error) {
	raw := ""
	if r.URL != nil {
		raw = r.URL.RawQuery
	}
	header := r.Header.Get("Authorization")
	inHeader := strings.HasPrefix(header, sigV4Algorithm)
	if !inHeader && !strings.Contains(raw, amzAlgorithm+"="+sigV4Algorithm) {
		return nil, errNotSigned
	}
	if len(raw)+len(header) > maxToken {
		return nil, errSignature
	}
	s := &signature{}
	fields := map[string]string{}
	if err := s.readQuery(raw, fields); err != nil {
		return nil, err
	}
	var credential, signed, mac string
	if inHeader {
		if len(r.Header["Authorization"]) > 1 || presignedFields(fields) {
			return nil, errSignature // which of the two counts would be a guess
		}
		credential, signed, mac = authorizationFields(header)
		s.date, s.token = r.Header.Get(amzDate), r.Header.Get(amzToken)
		if s.date == "" {
			if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
				s.date = t.UTC().Format(amzTime)
			}
		}
	} else {
		s.presigned = true
		credential, signed, mac = fields[amzCredential], fields[amzSignedHeaders], fields[amzSignature]
		s.date, s.expires, s.token = fields[amzDate], fields[amzExpires], fields[amzToken]
	}
	return s, s.read(credential, signed, mac)
}

// presignedFields reports a query that is signed, or was: with its signature moved into a
// header, a presigned URL would be good for longer than it says.
func presignedFields(fields map[string]string) bool {
	for _, name := range [...]string{amzAlgorithm, amzCredential, amzDate, amzExpires, amzSignedHeaders, amzSignature} {
		if _, ok := fields[name]; ok {
			return true
		}
	}
	return false
}

// amzTime is the form of X-Amz-Date.
const amzTime = "20060102T150405Z"

// readQuery takes the query apart. What a signature is made of may be there once only.
func (s *signature) readQuery(raw string, fields map[string]string) error {
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return errSignature
		}
		if strings.HasPrefix(strings.ToLower(n), "x-amz-") {
			if _, twice := fields[n]; twice {
				return errSignature
			}
			fields[n] = v
		}
		if n != amzSignature {
			s.query = append(s.query, param{n, v})
		}
	}
	return nil
}

// authorizationFields takes "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=...,
// Signature=..." apart.
func authorizationFields(header string) (credential, signed, mac string) {
	for part := range strings.SplitSeq(strings.TrimPrefix(header, sigV4Algorithm), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			credential = value
		case "SignedHeaders":
			signed = value
		case "Signature":
			mac = value
		}
	}
	return credential, signed, mac
}

func (s *signature) read(credential, signed, mac string) error {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || scope[4] != "aws4_request" || len(s.date) != len(amzTime) || scope[1] != s.date[:8] {
		return errSignature
	}
	s.keyID, s.day, s.region, s.service = scope[0], scope[1], scope[2], scope[3]
	s.headers = strings.Split(signed, ";")
	if !slices.Contains(s.headers, "host") || !slices.IsSorted(s.headers) || len(s.headers) > 100 {
		return errSignature
	}
	var err error
	if s.mac, err = hex.DecodeString(mac); err != nil || len(s.mac) != sha256.Size {
		return errSignature
	}
	return nil
}

// good reports whether the signature is that of the request, made with secret. Clients
// do not agree on what exactly they sign, so several readings are tried: the host as the
// request names it and without its port; the path encoded once or twice; a presigned URL
// with its session token or without (AWS's device SDK adds it after it has signed). No two
// requests that mean different things may have a reading in common.
func (s *signature) good(r *http.Request, secret string, hosts []string, payload string) bool {
	key := s.signingKey(secret)
	tokens := []bool{true}
	if s.presigned && s.token != "" {
		tokens = []bool{true, false}
	}
	for _, host := range hosts {
		headers, ok := s.canonicalHeaders(r, host)
		if !ok {
			return false
		}
		for _, p := range canonicalPaths(r) {
			for _, withToken := range tokens {
				request := r.Method + "\n" + p + "\n" + s.canonicalQuery(withToken) + "\n" + headers + "\n" + strings.Join(s.headers, ";") + "\n" + payload
				sum := sha256.Sum256([]byte(request))
				text := sigV4Algorithm + "\n" + s.date + "\n" + s.day + "/" + s.region + "/" + s.service + "/aws4_request\n" + hex.EncodeToString(sum[:])
				if hmac.Equal(keyed(key, text), s.mac) {
					return true
				}
			}
		}
	}
	return false
}

func (s *signature) signingKey(secret string) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.day, s.region, s.service, "aws4_request"} {
		key = keyed(key, part)
	}
	return key
}

func keyed(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// canonicalHeaders are the signed headers, a line each; ok is false if one is missing.
func (s *signature) canonicalHeaders(r *http.Request, host string) (string, bool) {
	var b strings.Builder
	for _, name := range s.headers {
		var value string
		switch values := r.Header.Values(name); {
		case name == "host":
			value = host
		case len(values) > 0:
			trimmed := make([]string, len(values))
			for i, v := range values {
				trimmed[i] = strings.Join(strings.Fields(v), " ")
			}
			value = strings.Join(trimmed, ",")
		case name == "content-length" && r.ContentLength >= 0:
			value = strconv.FormatInt(r.ContentLength, 10)
		default:
			return "", false
		}
		b.WriteString(name + ":" + value + "\n")
	}
	return b.String(), true
}

func (s *signature) canonicalQuery(withToken bool) string {
	list := make([]string, 0, len(s.query))
	for _, p := range s.query {
		if p.name == amzToken && !withToken {
			continue
		}
		list = append(list, encodeAWS(p.name, "")+"="+encodeAWS(p.value, ""))
	}
	slices.Sort(list)
	return strings.Join(list, "&")
}

// unsigned is a header of AWS's that means something and is not among those that are
// signed: somebody may have added it to a request that he has read. Empty if there is none.
func (s *signature) unsigned(r *http.Request) string {
	for name := range r.Header {
		name = strings.ToLower(name)
		switch {
		case !strings.HasPrefix(name, "x-amz-"), slices.Contains(s.headers, name):
		case strings.EqualFold(name, amzToken), strings.EqualFold(name, amzDate), strings.EqualFold(name, amzContent):
			// The token is compared with the key's, the time is part of what is signed, the hash is
			// compared with the body's.
		case name == "x-amz-cf-id": // CloudFront's
		default:
			return name
		}
	}
	return ""
}

// canonicalPaths are the forms in which the path may have been signed: encoded once more,
// as everywhere but at S3, or as it was sent. A path with an escaped % is taken only in
// the first form: as it was sent it is what another one is once more encoded. Dots and
// double slashes stay, since they mean themselves in topics.
func canonicalPaths(r *http.Request) []string {
	wire := r.RequestURI
	if !strings.HasPrefix(wire, "/") {
		wire = r.URL.EscapedPath()
	}
	wire, _, _ = strings.Cut(wire, "?")
	if wire == "" {
		wire = "/"
	}
	paths := []string{encodeAWS(wire, "/")}
	if !strings.Contains(wire, "%25") && wire != paths[0] {
		paths = append(paths, wire)
	}
	return paths
}

// signedHosts are the hosts that a signature may be for: allowed, if there are any, else
// what the request names.
func signedHosts(r *http.Request, allowed []string) []string {
	named := strings.ToLower(r.Host)
	if len(allowed) > 0 {
		hosts := make([]string, len(allowed))
		for i, h := range allowed {
			hosts[i] = strings.ToLower(h)
		}
		return hosts
	}
	hosts := []string{named}
	if host, _, err := net.SplitHostPort(named); err == nil {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// encodeAWS escapes everything but RFC 3986's unreserved characters and those of keep.
func encodeAWS(s, keep string) string {
	const hexDigits = "0123456789ABCDEF"
	plain := true
	for i := range len(s) {
		plain = plain && unreserved(s[i], keep)
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if c := s[i]; unreserved(c, keep) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte, keep string) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~' || strings.IndexByte(keep, c) >= 0
}
