"""ONNX Runtime, on models of one loss operator each, as onnx_reference.py makes them."""

from functools import lru_cache
from typing import Any

import onnx_reference as reference  # type: ignore[import-not-found]  # the adapter beside this one
import onnxruntime
from numpy.typing import NDArray

framework = "numpy"
dialect = "onnx"
package = "onnxruntime"
requires = "onnx"

Array = NDArray[Any]

OPSET = 13  # That of all three operators as they are, which every release since 1.6 runs.


def cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """SoftmaxCrossEntropyLoss of logits (N, C) or (N, C, ...) against class indices."""
    inputs, attributes = reference.inputs_of(logits, target, weight), reference.attributes_of(reduction, ignore_index)
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
    inputs = reference.inputs_of(log_probs, target, weight)
    return evaluate("NegativeLogLikelihoodLoss", inputs, reference.attributes_of(reduction, ignore_index))


def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    """LogSoftmax along `axis`."""
    return evaluate("LogSoftmax", [logits], (("axis", axis),))


def evaluate(operator: str, inputs: list[Array], attributes: Any) -> Array:
    """The first output of the operator. NotImplementedError for bfloat16, which no CPU kernel of it has."""
    if inputs[0].dtype.name == "bfloat16":
        raise NotImplementedError(f"onnxruntime has no bfloat16 {operator} on the CPU")
    answer: Array = session(operator, reference.tensors_of(inputs), attributes).run(None, reference.feeds(inputs))[0]
    return answer


@lru_cache(maxsize=256)
def session(operator: str, tensors: Any, attributes: Any) -> onnxruntime.InferenceSession:
    """One session for each combination of dtypes, shapes and attributes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Many sessions are kept, and the idle threads of each would take the cores from the one that is asked.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = reference.model(operator, tensors, attributes, OPSET)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
