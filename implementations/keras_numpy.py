"""Keras's own losses on its NumPy engine."""

import os

os.environ["KERAS_BACKEND"] = "numpy"  # Keras reads it as it is imported.

from keras import losses, ops

framework = "numpy"
dialect = "keras"
package = "keras"
requires = "jax"  # its NumPy engine imports it

categorical_crossentropy = losses.categorical_crossentropy
sparse_categorical_crossentropy = losses.sparse_categorical_crossentropy
binary_crossentropy = losses.binary_crossentropy
log_softmax = ops.log_softmax
