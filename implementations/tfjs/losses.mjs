// TensorFlow.js's own losses, tf.losses, tf.metrics and tf.logSoftmax, on its CPU backend.

import { endianness } from "node:os";

import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { metrics } from "@tensorflow/tfjs-layers";

import { decode, parameters, Unsupported } from "../javascript/protocol.mjs";

const REDUCTIONS = { none: tf.Reduction.NONE, mean: tf.Reduction.MEAN, sum: tf.Reduction.SUM };

const losses = {
  cross_entropy: {
    parameters: ["reduction", "label_smoothing"],
    loss(logits, target, { reduction, label_smoothing }) {
      const axis = logits.rank === 1 ? 0 : 1;
      const labels = target.dtype === "float32" ? classesLast(target, axis) : tf.oneHot(target, logits.shape[axis]);
      const last = classesLast(logits, axis);
      return tf.losses.softmaxCrossEntropy(labels, last, undefined, label_smoothing, reductionOf(reduction));
    },
  },
  log_softmax: {
    parameters: ["axis"],
    loss(logits, { axis }) {
      const others = logits.shape.slice(1).flatMap((_, i) => [i, i - logits.rank]);
      if (others.includes(axis)) throw new Unsupported("tf.logSoftmax takes the last axis alone");
      return tf.logSoftmax(logits, axis);
    },
  },
  binary_cross_entropy: {
    parameters: ["weight", "reduction"],
    loss(probs, target, { weight, reduction }) {
      return tf.losses.logLoss(target, probs, weight, undefined, reductionOf(reduction, weight));
    },
  },
  binary_cross_entropy_with_logits: {
    parameters: ["weight", "reduction"],
    loss(logits, target, { weight, reduction }) {
      return tf.losses.sigmoidCrossEntropy(target, logits, weight, undefined, reductionOf(reduction, weight));
    },
  },
  categorical_crossentropy: {
    parameters: [],
    loss: (target, probs) => metrics.categoricalCrossentropy(target, probs),
  },
  binary_crossentropy: {
    parameters: [],
    loss: (target, probs) => metrics.binaryCrossentropy(target, probs),
  },
};

/** The losses of TensorFlow.js take the classes as the last axis. */
function classesLast(array, axis) {
  if (axis === array.rank - 1) return array;
  const others = array.shape.map((_, i) => i).filter((i) => i !== axis);
  return tf.transpose(array, [...others, axis]);
}

function reductionOf(word, weight) {
  if (weight !== undefined && (word === undefined || word === "mean")) {
    throw new Unsupported("a weighted mean is divided by the sum of the weights, or by the number that are not 0");
  }
  if (word !== undefined && !(word in REDUCTIONS)) {
    throw new RangeError(`expected the reduction none, mean or sum, got ${word}`);
  }
  return REDUCTIONS[word];
}

// --- questions

function answerOf({ operation, question, which, after }, inputs, stated, cotangent, direction) {
  const loss = (...arrays) => {
    if (after) arrays[0] = offered(after.operation).loss(arrays[0], parameters(after.parameters));
    return offered(operation).loss(...arrays, stated);
  };
  const at = (array) => loss(...inputs.with(which, array));
  const gradient = (array) => tf.grad(at)(array, cotangent);
  if (question === "value") return loss(...inputs);
  if (question.startsWith("gradient")) return gradient(inputs[which]);
  if (question !== "hessian") throw new Unsupported(`TensorFlow.js has no ${question}: no forward mode`);
  try {
    return tf.grad((array) => tf.sum(tf.mul(gradient(array), direction)))(inputs[which]);
  } catch (error) {
    // A loss that is right by itself need not be differentiable twice.
    throw new Unsupported(`no hessian: ${error.message}`);
  }
}

function offered(operation) {
  if (!(operation in losses)) throw new Unsupported(`${operation} is not offered`);
  return losses[operation];
}

// --- arrays

/** The tensor of an array, and the memory that it lies in. */
function tensorOf(array) {
  const { dtype, shape, bytes } = array;
  if (["float64", "bfloat16", "float16"].includes(dtype)) {
    throw new Unsupported(`TensorFlow.js has no ${dtype}, float32 alone`);
  }
  const data = dtype === "float32" ? new Float32Array(bytes.buffer) : dtype === "bool" ? bytes : integers(dtype, bytes);
  const kind = ["float32", "bool"].includes(dtype) ? dtype : "int32";
  return { tensor: tf.tensor(data, shape, kind), data };
}

/** Integers as those that TensorFlow.js has, int32. */
function integers(dtype, bytes) {
  const wide = { int64: BigInt64Array, uint64: BigUint64Array, int32: Int32Array, uint32: Uint32Array };
  const narrow = { int16: Int16Array, uint16: Uint16Array, int8: Int8Array, uint8: Uint8Array };
  const given = Array.from(new { ...wide, ...narrow }[dtype](bytes.buffer), Number);
  const data = Int32Array.from(given);
  if (given.some((value, i) => value !== data[i])) throw new Unsupported(`TensorFlow.js has no ${dtype} beyond int32`);
  return data;
}

// --- the port

export async function start({ dialect }) {
  if (endianness() !== "LE") throw new Error("expected a little-endian machine");
  await tf.setBackend("cpu");
  tf.engine().startScope();
  const offers = Object.entries(losses).map(([name, { parameters }]) => [
    name,
    { parameters, derivatives: {}, autodiff: true },
  ]);
  return {
    framework: "tfjs",
    dialect: dialect ?? "tfjs",
    package: "@tensorflow/tfjs-core",
    package_version: tf.version_core,
    header: { device: "cpu", engine: tf.getBackend(), node: process.version, tfjs: tf.version_core },
    operations: Object.fromEntries(offers),
  };
}

export function prepare(request) {
  // What the last request left behind is freed.
  tf.engine().endScope();
  tf.engine().startScope();
  const held = [];
  const tensor = (name, array) => {
    const { tensor, data } = tensorOf(array);
    held.push([name, data]);
    return tensor;
  };
  const inputs = request.inputs.map((array, i) => tensor(String(i), decode(array)));
  const given = Object.entries(parameters(request.parameters));
  const stated = Object.fromEntries(
    given.map(([name, value]) => [name, value?.bytes ? tensor(name, value) : (value ?? undefined)]),
  );
  const [cotangent, direction] = ["cotangent", "direction"].map((name) =>
    request[name] ? tensor(name, decode(request[name])) : undefined,
  );
  const call = () => tf.tidy(() => answerOf(request, inputs, stated, cotangent, direction));
  return { call, inputs: held, read };
}

function read(answer) {
  if (!(answer instanceof tf.Tensor) || !["float32", "int32", "bool"].includes(answer.dtype)) {
    throw new TypeError("expected a tensor of numbers");
  }
  return { dtype: answer.dtype, shape: answer.shape, data: answer.dataSync() };
}
