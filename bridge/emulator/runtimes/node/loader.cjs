// Loading the handler that _HANDLER names.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { RuntimeError } = require('./errors.cjs');

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
    // What an ES module lacks (ERR_MODULE_NOT_FOUND) is an Error as it is, on AWS too.
    if (e?.code === 'MODULE_NOT_FOUND') throw new RuntimeError('ImportModuleError', e.toString());
    throw e;
  }
  const find = (from) => match[2].split('.').reduce((o, key) => o && o[key], from);
  const handler = find(app) ?? find(app?.default);
  if (!handler) throw new RuntimeError('HandlerNotFound', `${full} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeError('HandlerNotFound', `${full} is not a function`);
  return handler;
}

module.exports = { loadHandler };
