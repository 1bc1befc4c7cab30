// ONNX's loss operators, each asked as a model of one node, in ONNX Runtime's WebAssembly build.

import * as ort from "onnxruntime-web";

import { decode, parameters, Unsupported } from "../javascript/protocol.mjs";
import { modelOf } from "./model.mjs";

const ELEMENTS = { float32: Float32Array, float64: Float64Array, float16: Uint16Array, int32: Int32Array };

const losses = {
  cross_entropy: {
    parameters: ["weight", "ignore_index", "reduction"],
    node: (inputs, { weight, ...attributes }) => lossNode("SoftmaxCrossEntropyLoss", inputs, weight, attributes),
  },
  nll_loss: {
    parameters: ["weight", "ignore_index", "reduction"],
    node: (inputs, { weight, ...attributes }) => lossNode("NegativeLogLikelihoodLoss", inputs, weight, attributes),
  },
  log_softmax: {
    parameters: ["axis"],
    node: (inputs, attributes) => ({ operator: "LogSoftmax", inputs, attributes }),
  },
};

function lossNode(operator, [scores, labels], weight, attributes) {
  if (scores.dims.length < 2) throw new Unsupported(`${operator} takes batches alone`);
  if (!["int32", "int64"].includes(labels.type)) throw new Unsupported(`${operator} takes no labels of ${labels.type}`);
  return { operator, inputs: weight ? [scores, labels, weight] : [scores, labels], attributes };
}

// --- the port

export async function start({ dialect }) {
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "fatal";
  const offers = Object.entries(losses).map(([name, { parameters }]) => [
    name,
    { parameters, derivatives: {}, autodiff: false },
  ]);
  const version = ort.env.versions.web;
  return {
    framework: "onnxruntime_web",
    dialect: dialect ?? "onnx",
    package: "onnxruntime-web",
    package_version: version,
    header: { device: "cpu", engine: "wasm", node: process.version, "onnxruntime-web": version, threads: 1 },
    operations: Object.fromEntries(offers),
  };
}

export async function prepare({ operation, inputs, parameters: given, after }) {
  await release();
  const held = [];
  const tensor = (name, array) => {
    const made = tensorOf(array);
    held.push([name, made.data]);
    return made;
  };
  const tensors = inputs.map((array, i) => tensor(String(i), decode(array)));
  const stated = statedOf(given, tensor);
  if (after) {
    const first = await prepared(after.operation, [tensors[0]], statedOf(after.parameters, tensor));
    tensors[0] = await first();
  }
  return { call: await prepared(operation, tensors, stated), inputs: held, read };
}

function statedOf(given, tensor) {
  const entries = Object.entries(parameters(given)).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.map(([name, value]) => [name, value.bytes ? tensor(name, value) : value]));
}

const sessions = [];

/** What runs the model of an operation. A model that is refused raises when it is called. */
async function prepared(operation, tensors, stated) {
  if (!(operation in losses)) throw new Unsupported(`${operation} is not offered`);
  const { operator, inputs, attributes } = losses[operation].node(tensors, stated);
  const created = ort.InferenceSession.create(modelOf(operator, inputs, attributes), { executionProviders: ["wasm"] });
  const refused = await created.then((session) => (sessions.push(session), null), (error) => error);
  const feeds = Object.fromEntries(inputs.map((input, i) => [`input${i}`, input]));
  return async () => {
    if (refused) throw refused;
    return (await (await created).run(feeds)).output;
  };
}

async function release() {
  for (const session of sessions.splice(0)) await session.release();
}

// --- arrays

function tensorOf({ dtype, shape, bytes }) {
  if (dtype === "int64") return new ort.Tensor(dtype, new BigInt64Array(bytes.buffer), shape);
  if (!(dtype in ELEMENTS)) throw new Unsupported(`ONNX Runtime Web has no tensors of ${dtype}`);
  return new ort.Tensor(dtype, new ELEMENTS[dtype](bytes.buffer), shape);
}

function read(answer) {
  if (!(answer instanceof ort.Tensor)) throw new TypeError("expected a tensor");
  return { dtype: answer.type, shape: answer.dims, data: answer.data };
}
