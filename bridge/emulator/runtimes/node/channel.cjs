// The wire: the Runtime API over sockets that this process is born with, from
// descriptor 3 on: cheaper than TCP, and nobody else can connect to them.
'use strict';

const net = require('node:net');
const { errorDocument } = require('./errors.cjs');

const api = process.env.AWS_LAMBDA_RUNTIME_API;
const firstDescriptor = 3;
const prefix = '/2018-06-01/runtime/';
const NEXT = `GET ${prefix}invocation/next HTTP/1.1\r\nHost: ${api}\r\n\r\n`;
const errorTypeField = 'Lambda-Runtime-Function-Error-Type';
const errorBodyField = 'Lambda-Runtime-Function-Error-Body';

function field(head, name) {
  const at = head.indexOf(`\r\n${name}: `);
  if (at < 0) return undefined;
  const from = at + name.length + 4;
  const to = head.indexOf('\r\n', from);
  const raw = to < 0 ? head.slice(from) : head.slice(from, to);
  // Header values travel as UTF-8 bytes and arrive here as Latin-1.
  return /[\x80-\xff]/.test(raw) ? Buffer.from(raw, 'latin1').toString() : raw;
}

function headerSafe(s) {
  return String(s).replace(/[^\x20-\x7e]/g, '?');
}

// Channel is one connection to the Runtime API; it has at most one invocation.
class Channel {
  constructor(number, serve) {
    this.serve = serve;
    this.parts = null; // an event that has not arrived whole
    this.have = 0;
    this.need = 0;
    this.socket = new net.Socket({
      fd: firstDescriptor + number,
      onread: {
        buffer: Buffer.allocUnsafe(64 * 1024),
        callback: (n, buffer) => {
          this.feed(buffer.subarray(0, n));
          return true;
        },
      },
    });
    this.socket.on('error', () => process.exit(1)); // the server is gone, and so is our reason to be
    this.socket.on('close', () => process.exit(1));
  }

  next() {
    this.send(NEXT);
  }

  send(text, done) {
    this.socket.ref();
    this.socket.write(text, 'utf8', done);
  }

  // keep stores what is left of a message of `need` bytes (0: not known yet).
  keep(chunk, need) {
    this.parts = [Buffer.from(chunk)];
    this.have = chunk.length;
    this.need = need;
  }

  feed(chunk) {
    if (this.parts) {
      this.parts.push(Buffer.from(chunk));
      this.have += chunk.length;
      if (this.have < this.need) return;
      chunk = Buffer.concat(this.parts);
      this.parts = null;
    }
    let at = 0;
    while (at < chunk.length) {
      const end = chunk.indexOf('\r\n\r\n', at, 'latin1');
      if (end < 0) return this.keep(chunk.subarray(at), 0);
      const head = chunk.latin1Slice(at, end);
      const to = end + 4 + Number(field(head, 'Content-Length') || 0);
      if (to > chunk.length) return this.keep(chunk.subarray(at), to - at);
      at = to;
      // Everything but an event is the receipt for a response: nobody waits for it.
      if (head.startsWith('HTTP/1.1 200')) this.serve(this, head, chunk.utf8Slice(end + 4, to));
    }
  }

  respond(id, text) {
    const length = Buffer.byteLength(text);
    this.socket.ref();
    this.socket.write(
      `POST ${prefix}invocation/${id}/response HTTP/1.1\r\nHost: ${api}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${length}\r\n\r\n${text}${NEXT}`,
      length === text.length ? 'latin1' : 'utf8', // ASCII is the same in both, and cheaper in the first
    );
  }

  // fail reports an error: of the invocation id, or of the initialisation if there is none.
  fail(id, error, then) {
    const text = JSON.stringify(errorDocument(error));
    const target = id ? `invocation/${id}/error` : 'init/error';
    this.send(
      `POST ${prefix}${target} HTTP/1.1\r\nHost: ${api}\r\nContent-Type: application/json\r\n` +
        `${errorTypeField}: ${headerSafe(errorDocument(error).errorType)}\r\n` +
        `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}${then ? '' : NEXT}`,
      then,
    );
  }
}

module.exports = { Channel, field, headerSafe, api, prefix, errorTypeField, errorBodyField };
