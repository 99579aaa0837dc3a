// topicwire's Lambda runtime client for Node.js: loads an unmodified handler and
// serves it invocations. It speaks the Runtime API over one socket per concurrent
// invocation and writes a response and the request for the next event together; the
// server answers that pair in one write too.
'use strict';

const { RuntimeError, neverSettled } = require('./errors.cjs');
const { logError, patchConsole } = require('./console.cjs');
const { Channel, field } = require('./channel.cjs');
const { ResponseStream, installGlobals, streamingMark, highWaterMark } = require('./stream.cjs');
const { loadHandler } = require('./loader.cjs');

const env = process.env;
const concurrency = Math.max(1, parseInt(env.AWS_LAMBDA_MAX_CONCURRENCY, 10) || 1);
const calls = concurrency > 1 ? new (require('node:async_hooks').AsyncLocalStorage)() : null;
let current = null; // the call in progress; with several at once the store above knows

function currentCall() {
  return calls ? calls.getStore() : current;
}

let whenEmpty = null; // runs once, when the event loop has nothing left to do

// Call is one invocation: it ends once.
class Call {
  constructor(channel, head) {
    this.channel = channel;
    this.id = field(head, 'Lambda-Runtime-Aws-Request-Id');
    this.claimed = false;
    this.ended = false;
    this.waits = concurrency === 1;
  }

  // claim lets the first outcome in that the handler gives, in whichever style; the others
  // are ignored, even while a callback's waits for the event loop to run empty.
  claim() {
    if (this.claimed) return false;
    return (this.claimed = true);
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
    succeed: (result) => call.claim() && call.succeed(result),
    fail: (error) => call.claim() && call.fail(error ?? 'handled'),
    done: (error, result) => call.claim() && (error === undefined || error === null ? call.succeed(result) : call.fail(error)),
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
    if (!call.claim()) return;
    if (error !== undefined && error !== null) return call.fail(error);
    if (!call.waits) return call.succeed(result);
    whenEmpty = () => call.succeed(result);
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
    if (call.claim()) call.fail(e);
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
  patchConsole(() => currentCall()?.id);
  let handler;
  const serve = (channel, head, body) => {
    const call = new Call(channel, head);
    channel.socket.unref(); // so that the event loop can run empty
    const run = handler[streamingMark] ? serveStream : serveBuffered;
    if (calls) return void calls.run(call, run, handler, call, head, body);
    current = call;
    run(handler, call, head, body);
  };
  const first = new Channel(0, serve);
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
  // A promise that was rejected while loading is to be heard of before there is an event.
  setImmediate(() => {
    first.next();
    for (let i = 1; i < concurrency; i++) new Channel(i, serve).next();
  });
}

main();
