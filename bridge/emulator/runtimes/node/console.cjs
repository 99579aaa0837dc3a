// The console: one line an entry, with time, request id and level.
'use strict';

const fs = require('node:fs');
const util = require('node:util');
const { errorDocument } = require('./errors.cjs');

const env = process.env;
const json = (env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';

function logError(what, e) {
  const error = e instanceof Error ? e : new Error(e);
  if (json) return console.error(error);
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

// patchConsole makes the methods of console write such lines; requestId tells which
// request is in progress.
function patchConsole(requestId) {
  const levels = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
  const lowest = Math.max(0, levels.indexOf((env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()));
  const failure = (_, v) =>
    v instanceof Error
      ? { errorType: v.constructor?.name ?? 'UnknownError', errorMessage: v.message, stackTrace: String(v.stack).split('\n'), ...v }
      : v;
  const writer = (level) => (...args) => {
    const time = new Date().toISOString();
    const id = requestId();
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

module.exports = { logError, patchConsole };
