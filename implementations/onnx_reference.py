"""ONNX's reference evaluator, on models of one loss operator each."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper
from onnx.defs import onnx_opset_version
from onnx.reference import ReferenceEvaluator

framework = "numpy"
dialect = "onnx"
package = "onnx"

Array = NDArray[Any]
Attributes = tuple[tuple[str, str | int], ...]
Tensors = tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]

OPSET = min(22, onnx_opset_version())  # The first whose NegativeLogLikelihoodLoss has bfloat16.


def cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """SoftmaxCrossEntropyLoss of logits (N, C) or (N, C, ...) against class indices."""
    inputs, attributes = inputs_of(logits, target, weight), attributes_of(reduction, ignore_index)
    return evaluate("SoftmaxCrossEntropyLoss", inputs, attributes)


def nll_loss(
    log_probs: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """NegativeLogLikelihoodLoss of log-probabilities (N, C) or (N, C, ...) against class indices."""
    inputs = inputs_of(log_probs, target, weight)
    return evaluate("NegativeLogLikelihoodLoss", inputs, attributes_of(reduction, ignore_index))


def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    """LogSoftmax along `axis`."""
    return evaluate("LogSoftmax", [logits], (("axis", axis),))


def inputs_of(prediction: Array, target: Array, weight: Array | None) -> list[Array]:
    """What a loss operator takes, in its order. NotImplementedError for what no version of it has an input for."""
    if prediction.ndim < 2:
        raise NotImplementedError("ONNX's losses take (N, C) or (N, C, ...), no single sample")
    if target.dtype.kind not in "iu":
        raise NotImplementedError("ONNX's losses take class indices, no probabilities")
    return [prediction, target] if weight is None else [prediction, target, weight]


def attributes_of(reduction: str, ignore_index: int | None) -> Attributes:
    """The attributes of a loss operator; an ignore_index that is not stated is absent."""
    ignored = () if ignore_index is None else (("ignore_index", ignore_index),)
    return (("reduction", reduction), *ignored)


def evaluate(operator: str, inputs: list[Array], attributes: Attributes) -> Array:
    """The first output of the operator. NotImplementedError for bfloat16 where this onnx has no arrays of it."""
    if inputs[0].dtype.name == "bfloat16" and helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16).name != "bfloat16":
        raise NotImplementedError("this onnx has no bfloat16 arrays")
    answer: Array = evaluator(operator, tensors_of(inputs), attributes).run(None, feeds(inputs))[0]
    return answer


@lru_cache(maxsize=256)
def evaluator(operator: str, tensors: Tensors, attributes: Attributes) -> ReferenceEvaluator:
    """One evaluator for each combination of dtypes, shapes and attributes."""
    return ReferenceEvaluator(model(operator, tensors, attributes, OPSET))


def model(operator: str, tensors: Tensors, attributes: Attributes, opset: int) -> ModelProto:
    """A model of the operator alone, whose inputs, named input_0 and so on, have these dtypes and shapes."""
    names = [f"input_{number}" for number in range(len(tensors))]
    node = helper.make_node(operator, names, ["output"], **dict(attributes))
    types = [helper.np_dtype_to_tensor_dtype(dtype) for dtype, _ in tensors]
    graph = helper.make_graph(
        [node],
        operator,
        [
            helper.make_tensor_value_info(name, type_, shape)
            for name, type_, (_, shape) in zip(names, types, tensors, strict=True)
        ],
        [helper.make_tensor_value_info("output", types[0], None)],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))


def tensors_of(inputs: list[Array]) -> Tensors:
    """What a model states of its inputs: dtype and shape of each."""
    return tuple((array.dtype, array.shape) for array in inputs)


def feeds(inputs: list[Array]) -> dict[str, Array]:
    """The inputs by the names that they have in the model."""
    return {f"input_{number}": array for number, array in enumerate(inputs)}
