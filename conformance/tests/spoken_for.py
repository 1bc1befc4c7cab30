"""The library functions that each shipped adapter speaks for, and why the parameters of the two differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spoken:
    """What one function of an adapter speaks for: functions of a library, as read_signatures.py names them.

    `renamed` leads from the library's name of a parameter to the adapter's. `left_out` are parameters of the library
    that the adapter does not offer, `added` are parameters of the adapter that the library does not have, each with the
    reason.
    """

    functions: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)


Library = Mapping[str, Spoken]

REDUCED = {"reduction": "per-element losses, reduced as the library's users do"}
AXIS = {"axis": "the operation says on which axis the classes are"}
DTYPE = {"dtype": "the operation keeps the dtype of its input"}
OLD_REDUCTIONS = {"size_average": "deprecated in favour of reduction", "reduce": "deprecated in favour of reduction"}
GRAPH_NAME = {"name": "a name in a graph"}
CAPPED = {"softcap": "capping is another operation before the loss"}

TORCH: Library = {
    "cross_entropy": Spoken(("torch.nn.functional:cross_entropy",), left_out=OLD_REDUCTIONS),
    "linear_cross_entropy": Spoken(
        ("torch.nn.functional:linear_cross_entropy",), left_out={"options": "how it is cut up, not what comes out"}
    ),
    "nll_loss": Spoken(("torch.nn.functional:nll_loss",), left_out=OLD_REDUCTIONS),
    "log_softmax": Spoken(
        ("torch.nn.functional:log_softmax",),
        renamed={"dim": "axis"},
        left_out={"_stacklevel": "where a warning points"} | DTYPE,
    ),
    "binary_cross_entropy": Spoken(("torch.nn.functional:binary_cross_entropy",), left_out=OLD_REDUCTIONS),
    "binary_cross_entropy_with_logits": Spoken(
        ("torch.nn.functional:binary_cross_entropy_with_logits",), left_out=OLD_REDUCTIONS
    ),
}

OPTAX: Library = {
    "cross_entropy": Spoken(
        (
            "optax.losses:softmax_cross_entropy",
            "optax.losses:softmax_cross_entropy_with_integer_labels",
            "optax.losses:smooth_labels",
        ),
        renamed={"alpha": "label_smoothing"},
        left_out={"where": "a mask of classes, which no operation has"} | AXIS,
        added=REDUCED,
    ),
    "binary_cross_entropy_with_logits": Spoken(("optax.losses:sigmoid_binary_cross_entropy",), added=REDUCED),
}

ONNX: Library = {
    "cross_entropy": Spoken(("onnx operator SoftmaxCrossEntropyLoss",), renamed={"weights": "weight"}),
    "nll_loss": Spoken(("onnx operator NegativeLogLikelihoodLoss",)),
    "log_softmax": Spoken(("onnx operator LogSoftmax",)),
}

_LABELS = {"labels": "the classes are 0 and up", "y_pred": "the former name of y_proba"}

SKLEARN: Library = {
    "distribution_cross_entropy": Spoken(
        ("sklearn.metrics:log_loss",),
        renamed={"y_proba": "q", "normalize": "reduction"},
        left_out={"sample_weight": "the operation has no weights"} | _LABELS,
    ),
    "binary_cross_entropy": Spoken(
        ("sklearn.metrics:log_loss",),
        renamed={"y_proba": "probs", "normalize": "reduction", "sample_weight": "weight"},
        left_out=_LABELS,
    ),
}

TENSORFLOW: Library = {
    "cross_entropy": Spoken(
        (
            "tensorflow:nn.softmax_cross_entropy_with_logits",
            "tensorflow:nn.sparse_softmax_cross_entropy_with_logits",
        ),
        left_out=AXIS | GRAPH_NAME,
        added=REDUCED,
    ),
    "log_softmax": Spoken(("tensorflow:nn.log_softmax",), left_out=GRAPH_NAME),
    "binary_cross_entropy_with_logits": Spoken(
        (
            "tensorflow:nn.sigmoid_cross_entropy_with_logits",
            "tensorflow:nn.weighted_cross_entropy_with_logits",
        ),
        renamed={"labels": "target"},
        left_out=GRAPH_NAME,
        added=REDUCED,
    ),
}

KERAS: Library = {
    "categorical_crossentropy": Spoken(("keras:losses.categorical_crossentropy",)),
    "sparse_categorical_crossentropy": Spoken(("keras:losses.sparse_categorical_crossentropy",)),
    "binary_crossentropy": Spoken(("keras:losses.binary_crossentropy",)),
    "log_softmax": Spoken(("keras:ops.log_softmax",)),
}

MLX: Library = {
    "cross_entropy": Spoken(
        ("mlx.nn:losses.cross_entropy",),
        left_out={"weights": "weights of rows, where the operation has classes"} | AXIS,
    ),
    "nll_loss": Spoken(("mlx.nn:losses.nll_loss",), left_out=AXIS),
    "log_softmax": Spoken(("mlx.nn:log_softmax",)),
    "binary_cross_entropy": Spoken(
        ("mlx.nn:losses.binary_cross_entropy",),
        renamed={"weights": "weight"},
        left_out={"with_logits": "tells two operations apart"},
    ),
    "binary_cross_entropy_with_logits": Spoken(
        ("mlx.nn:losses.binary_cross_entropy",),
        renamed={"weights": "weight"},
        left_out={"with_logits": "tells two operations apart"},
    ),
}

TINYGRAD: Library = {
    "cross_entropy": Spoken(("tinygrad:Tensor.cross_entropy", "tinygrad:Tensor.sparse_categorical_crossentropy")),
    "nll_loss": Spoken(("tinygrad:Tensor.nll_loss",)),
    "log_softmax": Spoken(("tinygrad:Tensor.log_softmax",), left_out=DTYPE),
    "binary_cross_entropy": Spoken(("tinygrad:Tensor.binary_crossentropy",)),
    "binary_cross_entropy_with_logits": Spoken(("tinygrad:Tensor.binary_crossentropy_logits",)),
}

PADDLE: Library = {
    "cross_entropy": Spoken(
        ("paddle.nn.functional:cross_entropy",),
        left_out={"soft_label": "told by the target's dtype", "use_softmax": "tells two operations apart"}
        | AXIS
        | GRAPH_NAME,
    ),
    "nll_loss": Spoken(("paddle.nn.functional:nll_loss",), left_out=GRAPH_NAME),
    "log_softmax": Spoken(("paddle.nn.functional:log_softmax",), left_out=DTYPE | GRAPH_NAME),
    "binary_cross_entropy": Spoken(("paddle.nn.functional:binary_cross_entropy",), left_out=GRAPH_NAME),
    "binary_cross_entropy_with_logits": Spoken(
        ("paddle.nn.functional:binary_cross_entropy_with_logits",), left_out=GRAPH_NAME
    ),
}

TRANSFORMERS: Library = {
    "cross_entropy": Spoken(
        (
            "transformers.loss.loss_utils:fixed_cross_entropy",
            "transformers.trainer_pt_utils:LabelSmoother",
        ),
        renamed={"num_items_in_batch": "reduction", "epsilon": "label_smoothing"},
    ),
    "binary_cross_entropy_with_logits": Spoken(("transformers.loss.loss_utils:ForSequenceClassificationLoss",)),
}

_LIGER = (
    {
        "lse_square_scale": "another term beside the loss",
        "return_z_loss": "a second result",
        "return_token_accuracy": "a second result",
        "return_predicted_tokens": "a second result",
    }
    | OLD_REDUCTIONS
    | CAPPED
)

LIGER: Library = {
    "cross_entropy": Spoken(("liger_kernel.transformers.functional:liger_cross_entropy",), left_out=_LIGER),
    "linear_cross_entropy": Spoken(
        ("liger_kernel.transformers.functional:liger_fused_linear_cross_entropy",),
        renamed={"weight": "linear_weight", "ce_weight": "weight", "bias": "linear_bias"},
        left_out={
            "accum_dtype": "how it is computed, not what comes out",
            "chunk_mem_const": "how it is cut up, not what comes out",
            "use_token_scaling": "another weight of each row",
        }
        | _LIGER,
    ),
}

CUT_CROSS_ENTROPY: Library = {
    "linear_cross_entropy": Spoken(
        ("cut_cross_entropy:linear_cross_entropy",),
        left_out={
            "shift": "which token a position predicts is decided before the loss",
            "filter_eps": "how it is computed, not what comes out",
            "impl": "chosen by the device",
        }
        | CAPPED,
    ),
}

ADAPTERS: Mapping[str, Library] = {
    "cut_cross_entropy_compile": CUT_CROSS_ENTROPY,
    "keras_jax": KERAS,
    "keras_numpy": KERAS,
    "keras_tensorflow": KERAS,
    "keras_torch": KERAS,
    "liger_functional": LIGER,
    "mlx_nn": MLX,
    "onnx_reference": ONNX,
    "onnxruntime_losses": ONNX,
    "optax_losses": OPTAX,
    "paddle_functional": PADDLE,
    "sklearn_log_loss": SKLEARN,
    "tensorflow_nn": TENSORFLOW,
    "tinygrad_tensor": TINYGRAD,
    "torch_autocast": TORCH,
    "torch_compile": TORCH,
    "torch_eager": TORCH,
    "transformers_losses": TRANSFORMERS,
}

# Adapters that are themselves the losses, written for this project.
OF_OUR_OWN = (
    "array_api_losses",
    "jax_eager",
    "jax_jit",
    "numpy_reference",
    "textbook_definition",
    "textbook_keras_clip",
    "textbook_pixel_loop",
    "textbook_unshifted",
)
