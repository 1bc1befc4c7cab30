// Lossproof's protocol for ports in JavaScript: requests in, arrays decoded, replies out.

import { readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

const LINE_LIMIT = 65536; // bytes of an answer; a larger one travels in a file
const MOST_ELEMENTS = 2 ** 27; // of an expanded input, which JavaScript can only hold written out
const TEXT_LIMIT = 4000;

const SIZES = {
  float64: 8, float32: 4, bfloat16: 2, float16: 2, bool: 1,
  int64: 8, int32: 4, int16: 2, int8: 1, uint64: 8, uint32: 4, uint16: 2, uint8: 1,
};

/** What an implementation does not offer; never a failure. */
export class Unsupported extends Error {}

/**
 * Answers the host until it says stop or closes stdin.
 *
 * `load` gives a promise of the port: `start(request)`, the reply to start without id and ok, and `prepare(request)`,
 * of which `call()` computes an answer or its promise, `inputs` are [name, typed array] pairs that `call` may not write
 * to, and `read(answer)` gives dtype, shape and data, a typed array in C order; it throws TypeError for what is no array.
 * All may throw Unsupported.
 */
export async function serve(load) {
  // What a library prints may not end up among the replies. Node's own stream would make the pipe non-blocking.
  Object.defineProperty(process, "stdout", { get: () => process.stderr });
  let port, shared;
  for (const line of lines()) {
    const request = JSON.parse(line);
    const { id, command } = request;
    if (command === "stop") return reply({ id, ok: true });
    if (command === "start") {
      shared = request.shared;
      try {
        port = await load();
        reply({ id, ok: true, ...(await port.start(request)) });
      } catch (error) {
        reply({ id, ok: false, ...failed(error) });
      }
    } else {
      reply({ id, ...(await answered(port, request, shared)) });
    }
  }
}

function failed(error) {
  const kind = error.code === "ERR_MODULE_NOT_FOUND" ? "missing" : "failed";
  return { kind, message: text(error.message), traceback: text(error.stack) };
}

async function answered(port, request, shared) {
  try {
    const prepared = await prepare(port, request);
    return request.command === "bench" ? await timed(prepared, request.loops) : await asked(prepared, request, shared);
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    return { outcome: "unsupported", reason: text(error.message) };
  }
}

async function prepare(port, request) {
  if (request.transform) throw new Unsupported(`no ${request.transform}`);
  if (request.positions) throw new Unsupported("no inputs that are larger than memory");
  return await port.prepare(request);
}

async function asked({ call, inputs, read }, { id }, shared) {
  const before = inputs.map(([, data]) => Buffer.from(bytes(data)));
  const began = performance.now();
  let answer;
  try {
    answer = await call();
  } catch (error) {
    return raised(error);
  }
  const seconds = (performance.now() - began) / 1000;
  const changed = inputs.filter(([, data], i) => !before[i].equals(bytes(data))).map(([name]) => name);
  const facts = { outcome: "answered", type: answer?.constructor?.name ?? typeof answer, changed, seconds };
  try {
    const { dtype, shape, data } = await read(answer);
    return { ...facts, answer: { dtype, shape, ...carried(bytes(data), id, shared) }, device: "cpu" };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { ...facts, answer: null, reason: text(error.message), device: null };
  }
}

async function timed({ call }, loops) {
  const began = performance.now();
  try {
    for (let i = 0; i < loops; i++) await call();
  } catch (error) {
    return raised(error);
  }
  return { outcome: "answered", seconds: [(performance.now() - began) / 1000] };
}

function raised(error) {
  // A trap leaves a WebAssembly module in no state to go on: the process ends, and the host starts another one.
  if (error instanceof Unsupported || error instanceof WebAssembly.RuntimeError) throw error;
  const [type, message] = error instanceof Error ? [error.constructor.name, error.message] : [typeof error, error];
  return { outcome: "raised", type, message: text(message), traceback: text(error?.stack) };
}

function text(value) {
  return String(value ?? "").slice(0, TEXT_LIMIT);
}

// --- arrays

/** An array of a request: its dtype, its shape, and its elements in C order as little-endian bytes. */
export function decode({ dtype, shape, strides, offset = 0, data, file }) {
  const buffer = data === undefined ? readFileSync(file) : Buffer.from(data, "base64");
  const size = SIZES[dtype];
  const count = shape.reduce((product, length) => product * length, 1);
  if (count > MOST_ELEMENTS) throw new Unsupported(`no strided arrays: would have to write out ${count} elements`);
  const plain = new Uint8Array(count * size);
  if (strides === undefined) {
    plain.set(buffer);
    return { dtype, shape, bytes: plain };
  }
  const index = shape.map(() => 0);
  for (let i = 0, from = offset; i < count; i++) {
    for (let byte = 0; byte < size; byte++) plain[i * size + byte] = buffer[from + byte];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= index[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return { dtype, shape, bytes: plain };
}

/** The parameters of a request: arrays decoded, NaN and the infinities as numbers. */
export function parameters(stated) {
  const words = { nan: NaN, inf: Infinity, "-inf": -Infinity };
  const value = (given) =>
    given === null || typeof given !== "object" ? given : "number" in given ? words[given.number] : decode(given);
  return Object.fromEntries(Object.entries(stated).map(([name, given]) => [name, value(given)]));
}

function carried(data, id, shared) {
  if (data.length <= LINE_LIMIT) return { data: data.toString("base64") };
  const file = join(shared, `answer-${id}`);
  writeFileSync(file, data);
  return { file, size: data.length };
}

function bytes(data) {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

// --- lines

function* lines() {
  const chunk = Buffer.alloc(1 << 18);
  let pieces = [];
  for (;;) {
    const read = readSync(0, chunk);
    if (read === 0) return;
    let rest = Buffer.from(chunk.subarray(0, read));
    for (let end; (end = rest.indexOf(10)) >= 0; rest = rest.subarray(end + 1)) {
      yield Buffer.concat([...pieces, rest.subarray(0, end)]).toString();
      pieces = [];
    }
    pieces.push(rest);
  }
}

function reply(message) {
  const data = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let sent = 0; sent < data.length; ) sent += writeSync(1, data, sent);
}
