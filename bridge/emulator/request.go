package emulator

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
)

// request is what we need of a request's head. The slices are its own: they survive
// the reading of the body.
type request struct {
	post      bool
	put       bool
	path      []byte
	length    int64
	chunked   bool
	streaming bool
	expect    bool
	closes    bool
	foreign   bool // not from a runtime: a browser, or somebody who took another name for us
	errorType []byte
	extension []byte // an extension's name or identifier
}

func (r *request) reset() {
	*r = request{path: r.path[:0], errorType: r.errorType[:0], extension: r.extension[:0]}
}

// readRequest reads a head into c.req.
func (c *conn) readRequest() error {
	head, err := c.in.head()
	if err != nil {
		return err
	}
	r := &c.req
	r.reset()
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	method, target, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(target, []byte(" "))
	if !ok || !ok2 || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return errMalformed
	}
	r.post, r.put = string(method) == "POST", string(method) == "PUT"
	target, _, _ = bytes.Cut(target, []byte("?"))
	r.path = append(r.path, target...)
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return errMalformed
		}
		if err := r.header(name, bytes.TrimSpace(value)); err != nil {
			return err
		}
	}
	return nil
}

// header takes what we need of one header line. The length of the name is looked at
// first, since most lines mean nothing to us.
func (r *request) header(name, value []byte) error {
	is := func(s string) bool { return len(name) == len(s) && bytes.EqualFold(name, []byte(s)) }
	switch len(name) {
	case len("Host"):
		// A web page may make its own name resolve to 127.0.0.1; a runtime uses what
		// AWS_LAMBDA_RUNTIME_API says.
		r.foreign = r.foreign || is("Host") && !bytes.HasPrefix(value, []byte("127.0.0.1:")) && !bytes.HasPrefix(value, []byte("localhost:"))
	case len("Origin"): // and Expect
		r.foreign = r.foreign || is("Origin")
		r.expect = r.expect || is("Expect") && bytes.EqualFold(value, []byte("100-continue"))
	case len("Connection"):
		r.closes = r.closes || is("Connection") && bytes.EqualFold(value, []byte("close"))
	case len("Content-Length"): // and Sec-Fetch-Mode
		if is("Content-Length") {
			n, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil || n < 0 {
				return errMalformed
			}
			r.length = n
		}
		r.foreign = r.foreign || is("Sec-Fetch-Mode")
	case len("Transfer-Encoding"):
		r.chunked = r.chunked || is("Transfer-Encoding") && bytes.EqualFold(value, []byte("chunked"))
	case len("Lambda-Extension-Name"):
		if is("Lambda-Extension-Name") {
			r.extension = append(r.extension[:0], value...)
		}
	case len("Lambda-Extension-Identifier"):
		if is("Lambda-Extension-Identifier") {
			r.extension = append(r.extension[:0], value...)
		}
	case len(trailerErrorType):
		if is(trailerErrorType) {
			r.errorType = append(r.errorType[:0], value...)
		}
	case len("Lambda-Runtime-Function-Response-Mode"):
		r.streaming = r.streaming || is("Lambda-Runtime-Function-Response-Mode") && bytes.EqualFold(value, []byte("streaming"))
	}
	return nil
}

const (
	trailerErrorType = "Lambda-Runtime-Function-Error-Type"
	trailerErrorBody = "Lambda-Runtime-Function-Error-Body"
)

// body is a request's body as far as it was kept.
type body struct {
	data      []byte
	tooLarge  bool
	errorType string // a failure in the middle of the response, from the trailers
	errorBody []byte
}

// readBody reads the body. With a pipe the chunks go there instead of into data.
func (c *conn) readBody(pipe *chunkPipe) (body, error) {
	var b body
	if c.req.expect {
		c.wmu.Lock()
		c.out = append(c.out, statusContinue...)
		err := c.flushLocked()
		c.wmu.Unlock()
		if err != nil {
			return b, err
		}
	}
	var err error
	if !c.req.chunked {
		b.data, err = c.in.sized(c.req.length, maxResponse)
		if err == nil && pipe != nil && len(b.data) > 0 {
			pipe.send(b.data)
			b.data = nil
		}
	} else {
		err = c.readChunks(&b, pipe)
	}
	if errors.Is(err, errTooLarge) {
		b.tooLarge, b.data, err = true, nil, nil
	}
	return b, err
}

func (c *conn) readChunks(b *body, pipe *chunkPipe) error {
	limit := int64(maxResponse)
	take := func(chunk []byte) bool {
		if b.data == nil {
			b.data = chunk // most responses are one chunk
		} else {
			b.data = append(b.data, chunk...)
		}
		return true
	}
	if pipe != nil {
		limit, take = maxStream, pipe.send
	}
	return c.in.chunked(limit, take, func(line []byte) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte(trailerErrorType)):
			b.errorType = string(value)
		case bytes.EqualFold(name, []byte(trailerErrorBody)):
			b.errorBody, _ = base64.StdEncoding.DecodeString(string(value)) // garbage: the type must do
		}
	})
}
