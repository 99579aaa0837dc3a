// topicwire's Lambda runtime client for Node.js: loads an unmodified handler and
// serves it invocations. It speaks the Runtime API over one raw socket per concurrent
// invocation and writes a response and the request for the next event together; the
// server answers that pair in one write too.
'use strict';

const net = require('node:net');
const path = require('node:path');
const fs = require('node:fs');
const util = require('node:util');
const { Writable } = require('node:stream');
const { AsyncLocalStorage } = require('node:async_hooks');

const env = process.env;
const api = env.AWS_LAMBDA_RUNTIME_API;
const [apiHost, apiPort] = api.split(':');
const concurrency = Math.max(1, parseInt(env.AWS_LAMBDA_MAX_CONCURRENCY, 10) || 1);
const prefix = '/2018-06-01/runtime/';
const NEXT = `GET ${prefix}invocation/next HTTP/1.1\r\nHost: ${api}\r\n\r\n`;
const errorTypeField = 'Lambda-Runtime-Function-Error-Type';
const errorBodyField = 'Lambda-Runtime-Function-Error-Body';

// ---- errors, as AWS's runtime words them ----

class RuntimeError extends Error {
  constructor(type, message) {
    super(message);
    Object.defineProperty(this, 'name', { value: `Runtime.${type}`, configurable: true, writable: true });
    this.stack = this.stack.replace(/^Error/, this.name);
  }
}

const neverSettled =
  'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise ' +
  'that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#process_exit_codes';

function errorLike(e) {
  return util.types.isNativeError(e) || (e && typeof e.name === 'string' && typeof e.message === 'string' && typeof e.stack === 'string');
}

function errorDocument(e) {
  try {
    if (errorLike(e)) {
      return { errorType: e.name, errorMessage: e.message, trace: String(e.stack).split('\n') };
    }
    return { errorType: typeof e, errorMessage: String(e), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

function logError(what, e) {
  const error = e instanceof Error ? e : new Error(e);
  let text;
  try {
    const replace = (_, v) =>
      v instanceof Error
        ? { errorType: v.name, errorMessage: v.message, code: v.code, ...v, stack: String(v.stack).split('\n') }
        : v;
    text = JSON.stringify(error, replace);
  } catch {
    text = JSON.stringify(errorDocument(error));
  }
  console.error(what, '\t' + text);
}

// ---- console: one line an entry, with time, request id and level ----

const calls = concurrency > 1 ? new AsyncLocalStorage() : null;
let current = null; // the call in progress; with several at once the store above knows

function currentCall() {
  return calls ? calls.getStore() : current;
}

// writeLine writes at once, unlike process.stdout, which may lose lines when the
// process exits. Nothing that is wrong with the output fails the function.
function writeLine(line) {
  let rest = Buffer.from(line);
  try {
    while (rest.length > 0) rest = rest.subarray(fs.writeSync(1, rest));
  } catch (e) {
    if (e.code === 'EAGAIN') process.stdout.write(rest); // the pipe is full, and was made not to block
  }
}

function patchConsole() {
  const json = (env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const levels = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
  const lowest = Math.max(0, levels.indexOf((env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()));
  const failure = (_, v) =>
    v instanceof Error
      ? { errorType: v.constructor?.name ?? 'UnknownError', errorMessage: v.message, stackTrace: String(v.stack).split('\n'), ...v }
      : v;
  const writer = (level) => (...args) => {
    const time = new Date().toISOString();
    const id = currentCall()?.id;
    let line;
    if (json) {
      const entry = { timestamp: time, level, requestId: id };
      const error = args.length > 1 && args.find((a) => a instanceof Error);
      try {
        entry.message = args.length === 1 ? args[0] : util.format(...args);
        line = JSON.stringify(error ? { ...entry, ...failure('', error) } : entry, failure);
      } catch {
        line = JSON.stringify({ ...entry, message: util.format(...args) });
      }
    } else {
      line = `${time}\t${id}\t${level}\t${util.format(...args)}`;
    }
    writeLine(line.replace(/\n/g, '\r') + '\n');
  };
  levels.forEach((level, i) => {
    console[level.toLowerCase()] = i < lowest ? () => {} : writer(level);
  });
  console.log = console.info;
}

// ---- the wire ----

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
  constructor(serve) {
    this.serve = serve;
    this.parts = null; // an event that has not arrived whole
    this.have = 0;
    this.need = 0;
    this.socket = net.connect({
      host: apiHost,
      port: Number(apiPort),
      noDelay: true,
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
    this.send(
      `POST ${prefix}invocation/${id}/response HTTP/1.1\r\nHost: ${api}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}${NEXT}`,
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

// ---- response streaming ----

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
  if (['1', 'true'].includes(env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
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

// ---- loading the handler ----

function isModuleFolder(folder) {
  for (;;) {
    if (path.basename(folder) === 'node_modules') return false;
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).type === 'module';
    } catch (e) {
      if (e.code !== 'ENOENT' && e.code !== 'ENOTDIR') return false;
    }
    const parent = path.dirname(folder);
    if (parent === folder) return false;
    folder = parent;
  }
}

async function loadFile(file, asModule) {
  if (!asModule) {
    try {
      return require(file);
    } catch (e) {
      if (e.code !== 'ERR_REQUIRE_ESM' && e.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw e;
    }
  }
  return import(require('node:url').pathToFileURL(file).href);
}

async function loadModule(root, folder, name) {
  const base = path.resolve(root, folder, name);
  const typescript = process.features.typescript;
  const module = isModuleFolder(path.dirname(base));
  const kinds = [['', false], ['.js', module], ['.mjs', true], ['.cjs', false]];
  if (typescript) kinds.push(['.ts', module], ['.mts', true], ['.cts', false]);
  for (const [extension, asModule] of kinds) {
    const file = base + extension;
    if (fs.statSync(file, { throwIfNoEntry: false })?.isFile()) return loadFile(file, asModule);
  }
  return loadFile(require.resolve(name, { paths: [root, path.resolve(root, folder)] }), false);
}

async function loadHandler(root, full) {
  if (full.includes('..')) {
    throw new RuntimeError(
      'MalformedHandlerName',
      `'${full}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const base = path.basename(full);
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match) throw new RuntimeError('MalformedHandlerName', 'Bad handler');
  let app;
  try {
    app = await loadModule(root, full.slice(0, full.length - base.length), match[1]);
  } catch (e) {
    if (e instanceof SyntaxError) {
      process.stderr.write(String(e.stack).replace(/\n/g, '\r') + '\n'); // names the file and the line
      throw new RuntimeError('UserCodeSyntaxError', e.toString());
    }
    if (e?.code === 'MODULE_NOT_FOUND' || e?.code === 'ERR_MODULE_NOT_FOUND') throw new RuntimeError('ImportModuleError', e.toString());
    throw e;
  }
  const find = (from) => match[2].split('.').reduce((o, key) => o && o[key], from);
  const handler = find(app) ?? find(app?.default);
  if (!handler) throw new RuntimeError('HandlerNotFound', `${full} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeError('HandlerNotFound', `${full} is not a function`);
  return handler;
}

// ---- serving ----

let whenEmpty = null; // runs once, when the event loop has nothing left to do

// Call is one invocation: it ends once.
class Call {
  constructor(channel, head) {
    this.channel = channel;
    this.id = field(head, 'Lambda-Runtime-Aws-Request-Id');
    this.ended = false;
    this.waits = concurrency === 1;
  }

  // end marks the call as over; false if it was over before.
  end() {
    if (this.ended) return false;
    this.ended = true;
    whenEmpty = null;
    return true;
  }

  succeed(result) {
    let text;
    try {
      text = JSON.stringify(result === undefined ? null : result) ?? 'null';
    } catch {
      return this.fail(new Error('Unable to stringify response body'));
    }
    if (this.end()) this.channel.respond(this.id, text);
  }

  fail(error) {
    if (!this.end()) return;
    logError('Invoke Error', error);
    this.channel.fail(this.id, error);
  }
}

function parseField(head, name, what) {
  const text = field(head, name);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new Error(`Cannot parse ${what} as json: ${e}`);
  }
}

function makeContext(call, head) {
  const deadline = Number(field(head, 'Lambda-Runtime-Deadline-Ms'));
  const trace = field(head, 'Lambda-Runtime-Trace-Id');
  if (concurrency === 1) {
    if (trace) env._X_AMZN_TRACE_ID = trace;
    else if (hadTrace) delete env._X_AMZN_TRACE_ID;
    hadTrace = trace !== undefined;
  }
  return {
    get callbackWaitsForEmptyEventLoop() {
      return call.waits;
    },
    set callbackWaitsForEmptyEventLoop(on) {
      call.waits = on && concurrency === 1;
    },
    succeed: (result) => call.succeed(result),
    fail: (error) => call.fail(error === undefined || error === null ? 'handled' : error),
    done: (error, result) => (error === undefined || error === null ? call.succeed(result) : call.fail(error)),
    functionVersion: fixed.version,
    functionName: fixed.name,
    memoryLimitInMB: fixed.memory,
    logGroupName: fixed.group,
    logStreamName: fixed.stream,
    clientContext: parseField(head, 'Lambda-Runtime-Client-Context', 'ClientContext'),
    identity: parseField(head, 'Lambda-Runtime-Cognito-Identity', 'CognitoIdentity'),
    invokedFunctionArn: field(head, 'Lambda-Runtime-Invoked-Function-Arn'),
    awsRequestId: call.id,
    tenantId: field(head, 'Lambda-Runtime-Aws-Tenant-Id'),
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

let hadTrace = false;
const fixed = {
  version: env.AWS_LAMBDA_FUNCTION_VERSION,
  name: env.AWS_LAMBDA_FUNCTION_NAME,
  memory: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  group: env.AWS_LAMBDA_LOG_GROUP_NAME,
  stream: env.AWS_LAMBDA_LOG_STREAM_NAME,
};

function serveBuffered(handler, call, head, body) {
  const isAsync = handler.constructor?.name === 'AsyncFunction';
  const callback = (error, result) => {
    if (call.ended) return;
    if (error !== undefined && error !== null) return call.fail(error);
    if (!call.waits) return call.succeed(result);
    if (!call.called) {
      call.called = true;
      whenEmpty = () => call.succeed(result);
    }
  };
  whenEmpty = () => {
    // The handler neither answered nor has anything left to do.
    if (isAsync) call.fail(new RuntimeError('NodeJsExit', neverSettled));
    else call.succeed(null);
  };
  try {
    const context = makeContext(call, head);
    const result = handler(JSON.parse(body), context, callback);
    if (typeof result?.then === 'function') result.then(context.succeed, context.fail);
  } catch (e) {
    call.fail(e);
  }
}

async function serveStream(handler, call, head, body) {
  const size = handler[highWaterMark];
  const stream = new ResponseStream(call.channel, call.id, size === undefined ? undefined : { highWaterMark: size });
  const fail = (error) => {
    if (!call.end()) return;
    logError('Invoke Error', error);
    stream.abort(error);
    call.channel.next();
  };
  call.abort = (error) => {
    if (call.end()) stream.abort(error);
  };
  whenEmpty = () => fail(stream.writableEnded ? new RuntimeError('NodeJsExit', neverSettled) : 'Response stream is not finished.');
  const finished = new Promise((resolve, reject) => stream.once('finish', resolve).once('error', reject));
  finished.catch(() => {});
  try {
    const context = makeContext(call, head);
    for (const name of ['succeed', 'fail', 'done']) delete context[name];
    const result = handler(JSON.parse(body), stream, context);
    if (typeof result?.then !== 'function') return fail('Streaming does not support non-async handlers.');
    if ((await result) !== undefined) console.warn('Streaming handlers ignore return values.');
    await finished;
    if (call.end()) call.channel.next();
  } catch (e) {
    fail(e);
  }
}

function die(channel, error, what, code) {
  logError(what, error);
  const call = currentCall();
  const exit = () => process.exit(code);
  if (call && call.abort && !call.ended) {
    call.abort(error);
    call.channel.socket.write('', exit);
    return;
  }
  if (call && !call.end()) return exit(); // it has its answer already
  (call ? call.channel : channel).fail(call?.id, error, exit);
}

async function main() {
  patchConsole();
  let handler;
  const serve = (channel, head, body) => {
    const call = new Call(channel, head);
    channel.socket.unref(); // so that the event loop can run empty
    const run = handler[streamingMark] ? serveStream : serveBuffered;
    if (calls) return void calls.run(call, run, handler, call, head, body);
    current = call;
    run(handler, call, head, body);
  };
  const first = new Channel(serve);
  process.on('uncaughtException', (error) => die(first, error, 'Uncaught Exception', 129));
  process.on('unhandledRejection', (reason) => {
    const error = new RuntimeError('UnhandledPromiseRejection', reason);
    error.reason = reason;
    die(first, error, 'Unhandled Promise Rejection', 128);
  });
  process.on('beforeExit', () => {
    const then = whenEmpty;
    whenEmpty = null;
    if (then) then();
  });

  installGlobals();
  try {
    handler = await loadHandler(env.LAMBDA_TASK_ROOT, env._HANDLER);
    if (handler[streamingMark] && handler[streamingMark] !== 'response') {
      throw new RuntimeError('MalformedStreamingHandler', 'Only response streaming is supported.');
    }
  } catch (e) {
    return die(first, e, 'Uncaught Exception', 1);
  }
  first.next();
  for (let i = 1; i < concurrency; i++) new Channel(serve).next();
}

main();
