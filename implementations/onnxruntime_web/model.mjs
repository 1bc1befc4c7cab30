// An ONNX model of one node, as the bytes that a session is created from.

import { fileURLToPath } from "node:url";

import protobuf from "protobufjs";

const OPSET = 13;
const IR_VERSION = 8;
const ELEMENT_TYPES = { float32: 1, int32: 6, int64: 7, float16: 10, float64: 11 };
const FLOAT = 1;
const INT = 2;
const STRING = 3;

const schema = protobuf.loadSync(fileURLToPath(new URL("onnx.proto", import.meta.url)));
const ModelProto = schema.lookupType("onnx.ModelProto");

/** The model of an operator that takes tensors like these, named input0, input1, …, and gives `output`. */
export function modelOf(operator, inputs, attributes) {
  const names = inputs.map((_, i) => `input${i}`);
  const node = {
    opType: operator,
    input: names,
    output: ["output"],
    attribute: Object.entries(attributes).map(([name, value]) => attributeOf(name, value)),
  };
  const graph = {
    name: operator,
    node: [node],
    input: inputs.map(({ type, dims }, i) => valueOf(names[i], type, dims)),
    output: [valueOf("output", inputs[0].type)],
  };
  const model = { irVersion: IR_VERSION, opsetImport: [{ domain: "", version: OPSET }], graph };
  return ModelProto.encode(ModelProto.fromObject(model)).finish();
}

function attributeOf(name, value) {
  if (typeof value === "string") return { name, type: STRING, s: Buffer.from(value) };
  return Number.isInteger(value) ? { name, type: INT, i: value } : { name, type: FLOAT, f: value };
}

function valueOf(name, type, dims) {
  const shape = dims && { dim: dims.map((length) => ({ dimValue: length })) };
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[type], shape } } };
}
