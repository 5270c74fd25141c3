"""Avoided energy use: what the baseline model says would have been used, less what was (IPMVP Option C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Avoided:
    """Avoided use over the intervals where both sides are known.

    observed, predicted, avoided [unit of use]; fraction = avoided / predicted, NaN when nothing positive is
    predicted; valid: intervals used.
    """

    observed: float
    predicted: float
    avoided: float
    fraction: float
    valid: int


def avoided_use(observed: Floats, predicted: Floats) -> Avoided:
    """AEU = sum(yhat - y), FS = AEU / sum(yhat), both sums over intervals valid on both sides.

    observed, predicted: shape (n,), NaN where missing. Negative savings stay negative.
    """
    valid = ~(np.isnan(observed) | np.isnan(predicted))
    y, yhat = float(observed[valid].sum()), float(predicted[valid].sum())
    fraction = (yhat - y) / yhat if yhat > 0 else float("nan")
    return Avoided(y, yhat, yhat - y, fraction, int(valid.sum()))
