"""A softmax that streams one class after the other: running maximum, and a sum that is rescaled when it grows."""

from __future__ import annotations

import itertools
import math

import numpy as np
from masks_and_reductions import Array, Formulas, losses


def running(rows: Array) -> tuple[Array, Array]:
    """m and s of each row, with their axis kept."""
    flat = rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])
    statistics = np.array([of_row(row) for row in flat], rows.dtype).reshape(*rows.shape[:-1], 2)
    return statistics[..., :1], statistics[..., 1:]


def of_row(row: Array) -> tuple[Array, Array]:
    """s := s exp(m - x) + 1 at a new maximum x, else s + exp(x - m)."""
    m, s = np.asarray(-np.inf, row.dtype), np.zeros((), row.dtype)
    if np.isnan(row).any() or (row == -np.inf).all():
        return np.full_like(m, np.nan), np.full_like(s, np.nan)
    record = np.flatnonzero(np.append(True, row[1:] > np.maximum.accumulate(row)[:-1]))
    for start, stop in itertools.pairwise([*record, row.size]):
        if row[start] == -np.inf:
            continue
        s = s * np.exp(m - row[start]) if s else s
        m = row[start]
        # accumulate adds in order, where np.sum would add pairwise; between two maxima the factor is 1.
        s = np.add.accumulate(np.append(s, np.exp(row[start:stop] - m)))[-1]
    return m, s


def log_softmax(rows: Array) -> Array:
    m, s = running(rows)
    return np.asarray((rows - m) - np.log(s))


def softmax(rows: Array) -> Array:
    m, s = running(rows)
    return np.asarray(np.exp(rows - m) / s)


globals().update(losses(Formulas(log_softmax=log_softmax, softmax=softmax)))
