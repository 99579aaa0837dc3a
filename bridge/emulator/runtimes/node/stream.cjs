// Response streaming: awslambda.streamifyResponse and what it gives a handler.
'use strict';

const { Writable } = require('node:stream');
const { errorDocument, RuntimeError } = require('./errors.cjs');
const { api, prefix, errorTypeField, errorBodyField, headerSafe } = require('./channel.cjs');

class ResponseStream extends Writable {
  constructor(channel, id, options) {
    super({ ...options, decodeStrings: true });
    this.channel = channel;
    this.id = id;
    this.contentType = 'application/octet-stream';
    this.opened = false;
  }

  setContentType(type) {
    if (this.opened) throw new RuntimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    this.contentType = headerSafe(type);
  }

  write(chunk, ...rest) {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) chunk = JSON.stringify(chunk);
    return super.write(chunk, ...rest);
  }

  head() {
    return (
      `POST ${prefix}invocation/${this.id}/response HTTP/1.1\r\nHost: ${api}\r\nContent-Type: ${this.contentType}\r\n` +
      `Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n` +
      `Trailer: ${errorTypeField}, ${errorBodyField}\r\n\r\n`
    );
  }

  // open sends the head, and the prelude that HttpResponseStream asks for.
  open() {
    if (this.opened) return;
    this.opened = true;
    this.channel.socket.write(this.head());
    if (typeof this._onBeforeFirstWrite === 'function') this._onBeforeFirstWrite((part) => this.chunk(Buffer.from(part)));
  }

  chunk(data, done) {
    if (data.length === 0) return done && done();
    const socket = this.channel.socket;
    socket.cork();
    socket.write(`${data.length.toString(16)}\r\n`);
    socket.write(data);
    socket.write('\r\n', done);
    socket.uncork();
  }

  _write(data, _encoding, done) {
    this.open();
    this.chunk(data, done);
  }

  _final(done) {
    this.open();
    this.channel.socket.write('0\r\n\r\n', done);
  }

  // abort ends the response with the error in its trailers.
  abort(error) {
    this.open();
    const document = errorDocument(error);
    const body = Buffer.from(JSON.stringify(document)).toString('base64');
    this.channel.socket.write(`0\r\n${errorTypeField}: ${headerSafe(document.errorType)}\r\n${errorBodyField}: ${body}\r\n\r\n`);
  }
}

const streamingMark = Symbol.for('aws.lambda.runtime.handler.streaming');
const highWaterMark = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

function installGlobals() {
  if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[streamingMark] = 'response';
      if (typeof options?.highWaterMark === 'number') handler[highWaterMark] = Math.trunc(options.highWaterMark);
      return handler;
    },
    HttpResponseStream: {
      from(stream, prelude) {
        stream.setContentType('application/vnd.awslambda.http-integration-response');
        stream._onBeforeFirstWrite = (write) => {
          write(JSON.stringify(prelude));
          write(new Uint8Array(8)); // eight NUL bytes part the prelude from the body
        };
        return stream;
      },
    },
  };
}

module.exports = { ResponseStream, installGlobals, streamingMark, highWaterMark };
