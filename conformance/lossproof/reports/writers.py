"""How each framework writes arrays, values and gradients, in a script of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


def _nothing(_: object) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Writer:
    """The lines of a script: each field gives some, or an expression.

    `setup` stands before the other `imports`. `device` chooses where it runs, by the name that --device has. `digits`
    make it print all digits, of which so many stand after the first. `tensor` is an array of the numbers that an
    expression of NumPy gives, in a dtype. `value` and `gradient` (for the prediction that is named) print what the call
    answers; None where the framework has no gradients. `layouts` lay the array `x` out in memory; a framework that has
    no strides has none, and None where they are not written.
    """

    imports: Sequence[str]
    tensor: Callable[[str, str], str]
    value: Callable[[str], Sequence[str]]
    gradient: Callable[[str, str], Sequence[str]] | None = None
    setup: Sequence[str] = ()
    device: Callable[[str], Sequence[str]] = _nothing
    digits: Callable[[int], Sequence[str]] = _nothing
    layouts: Mapping[str, str] | None = field(default_factory=dict)


def _printed(call: str) -> list[str]:
    return [f"print({call})"]


def _shortest_digits(decimals: int) -> list[str]:  # noqa: ARG001  # NumPy finds the number of digits itself
    return ['np.set_printoptions(floatmode="unique")']


def _numpy_tensor(values: str, dtype: str) -> str:
    return f"{values}.astype({'ml_dtypes.bfloat16' if dtype == 'bfloat16' else f'np.{dtype}'})"


def _torch_gradient(call: str, prediction: str) -> list[str]:
    return [
        f"{prediction}.requires_grad_()",
        f"answer = {call}",
        "answer.backward(cotangent.to(answer.dtype))",
        f"print({prediction}.grad)",
    ]


def _torch_device(device: str) -> list[str]:
    return [] if device == "cpu" else [f'torch.set_default_device("{device}")']


def _jax_gradient(call: str, prediction: str) -> list[str]:
    return [
        f"answer, pull_back = jax.vjp(lambda {prediction}: {call}, {prediction})",
        "print(pull_back(cotangent.astype(answer.dtype))[0])",
    ]


def _tensorflow_tensor(values: str, dtype: str) -> str:
    # Cast by NumPy: TensorFlow flushes subnormal numbers on the way.
    kind = "tf.bfloat16.as_numpy_dtype" if dtype == "bfloat16" else f"np.{dtype}"
    return f"tf.constant({values}.astype({kind}))"


def _tensorflow_gradient(call: str, prediction: str) -> list[str]:
    return [
        "with tf.GradientTape() as tape:",
        f"    tape.watch({prediction})",
        f"    answer = {call}",
        "cotangent = tf.cast(cotangent, answer.dtype)",
        f'gradient = tape.gradient(answer, {prediction}, cotangent, unconnected_gradients="zero")',
        "print(tf.convert_to_tensor(gradient))",
    ]


def _mlx_gradient(call: str, prediction: str) -> list[str]:
    return [
        f"loss = lambda {prediction}: {call}.astype(cotangent.dtype)",
        f"print(mx.vjp(loss, [{prediction}], [cotangent])[1][0].tolist())",
    ]


def _paddle_tensor(values: str, dtype: str) -> str:
    if dtype == "bfloat16":
        return f'paddle.to_tensor({values}.astype(np.float32)).astype("bfloat16")'
    return f"paddle.to_tensor({values}.astype(np.{dtype}))"


def _paddle_gradient(call: str, prediction: str) -> list[str]:
    return [
        f"{prediction}.stop_gradient = False",
        f"answer = {call}",
        f"print(paddle.grad([answer], [{prediction}], [cotangent.astype(answer.dtype)])[0])",
    ]


def _paddle_device(device: str) -> list[str]:
    kind, _, index = device.partition(":")
    return [f'paddle.set_device("{"cpu" if kind == "cpu" else f"gpu:{index or 0}"}")']


def _tinygrad_tensor(values: str, dtype: str) -> str:
    if values.startswith("np.array(") and not values.startswith("np.array(["):
        # A number without axes would be folded into the kernels, which rounds differently.
        return f"Tensor({values}.ravel(), dtype=dtypes.{dtype}).reshape(())"
    return f"Tensor({values}, dtype=dtypes.{dtype})"


def _tinygrad_gradient(call: str, prediction: str) -> list[str]:
    return [
        f"answer = {call}",
        f"print(answer.gradient({prediction}, gradient=cotangent.cast(answer.dtype))[0].numpy())",
    ]


WRITERS: Mapping[str, Writer] = {
    "numpy": Writer(
        ["import ml_dtypes", "import numpy as np"],
        _numpy_tensor,
        _printed,
        digits=_shortest_digits,
        layouts={
            "transposed": "np.asfortranarray(x)",
            "channels_last": "np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)",
            "reversed": "x[..., ::-1].copy()[..., ::-1]",
            "sliced": "np.repeat(x, 2, axis=-1)[..., ::2]",
            "expanded": "np.broadcast_to(x[:1], x.shape)",
        },
    ),
    "torch": Writer(
        ["import numpy as np", "import torch"],
        lambda values, dtype: f"torch.as_tensor({values}).to(torch.{dtype})",
        _printed,
        _torch_gradient,
        device=_torch_device,
        digits=lambda decimals: [f"torch.set_printoptions(precision={decimals}, sci_mode=True)"],
        layouts={
            "transposed": "x.permute(*range(x.ndim)[::-1]).contiguous().permute(*range(x.ndim)[::-1])",
            "channels_last": "x.movedim(1, -1).contiguous().movedim(-1, 1)",
            "sliced": "x.repeat_interleave(2, -1)[..., ::2]",
            "expanded": "x[:1].expand(x.shape)",
        },
    ),
    "jax": Writer(
        ["import jax.numpy as jnp", "import numpy as np"],
        # Cast by NumPy: XLA flushes subnormal numbers on the way.
        lambda values, dtype: f"jnp.asarray({values}.astype(jnp.{dtype}))",
        _printed,
        _jax_gradient,
        setup=["import jax", "", 'jax.config.update("jax_enable_x64", True)', ""],
        device=lambda device: [f'jax.config.update("jax_platforms", "{device.partition(":")[0]}")'],
        digits=_shortest_digits,
        layouts=None,
    ),
    "tensorflow": Writer(
        ["import numpy as np", "import tensorflow as tf"],
        _tensorflow_tensor,
        _printed,
        _tensorflow_gradient,
        device=lambda device: ['tf.config.set_visible_devices([], "GPU")'] if device == "cpu" else [],
        digits=_shortest_digits,
        layouts=None,
    ),
    "mlx": Writer(
        ["import mlx.core as mx", "import numpy as np"],
        lambda values, dtype: f"mx.array({values}, mx.{dtype})",
        # MLX prints a fixed number of decimals, and few elements.
        lambda call: [f"print({call}.tolist())"],
        _mlx_gradient,
        device=lambda device: [f"mx.set_default_device(mx.{device.partition(':')[0]})"],
    ),
    "paddle": Writer(
        ["import numpy as np", "import paddle"],
        _paddle_tensor,
        _printed,
        _paddle_gradient,
        device=_paddle_device,
        digits=lambda decimals: [f"paddle.set_printoptions(precision={decimals}, sci_mode=True)"],
    ),
    "tinygrad": Writer(
        ["import numpy as np", "from tinygrad import Tensor, dtypes"],
        _tinygrad_tensor,
        lambda call: [f"print({call}.numpy())"],
        _tinygrad_gradient,
        # Read at the import; PYTHON needs no compiler.
        setup=["import os", "", 'os.environ.setdefault("DEV", "PYTHON")', ""],
        digits=_shortest_digits,
        layouts=None,
    ),
}
