"""Registers that only rise: rollovers, resets, and the advance between two edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analytics.kernel import kernel

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]

PLAUSIBLE = 1.2
"""Head-room over the nameplate rate before an advance is called impossible."""

HOUR_NS = 3_600e9

STEP_NORMAL, STEP_ROLLOVER, STEP_RESET = 0, 1, 2


@kernel
def unwrap(
    time: Instants, reading: Floats, modulus: float, max_rate: float
) -> tuple[Floats, NDArray[np.int64], NDArray[np.uint8]]:
    """Turn register readings into a total that only rises, cut into epochs.

    time: UTC ns, ascending, shape (n,). reading: register [unit], no NaN, shape (n,). modulus: where it rolls
    over [unit], 0 = unknown. max_rate: nameplate limit [unit/h], 0 = unknown. Returns total (advance since
    the first reading, [unit]), epoch (0, 1, ...) and step (how each reading was reached), each shape (n,).

    A negative difference d is a rollover only if (d mod modulus) <= max_rate * dt * 1.2; otherwise it is a
    reset: the total stands still there and a new epoch begins. Without a nameplate limit no rollover can be
    told from a reset, so every fall is a reset. dt counts from the last reading before the register's last
    change, because a coarse register polled fast advances in jumps. A rise is a reset only if it exceeds
    what the nameplate allows in that time or in an hour, whichever is longer.
    """
    n = len(time)
    total = np.zeros(n)
    epoch = np.zeros(n, np.int64)
    step = np.zeros(n, np.uint8)
    since = time[0] if n else 0
    for i in range(1, n):
        advance = reading[i] - reading[i - 1]
        per_ns = max_rate * PLAUSIBLE / HOUR_NS if max_rate > 0.0 else np.inf
        if advance < 0.0 and modulus > 0.0 and max_rate > 0.0:
            wrapped = advance % modulus
            if wrapped <= per_ns * (time[i] - since):
                advance = wrapped
                step[i] = STEP_ROLLOVER
        if advance < 0.0 or advance > per_ns * max(time[i] - since, HOUR_NS):
            step[i] = STEP_RESET
            advance = 0.0
        if reading[i] != reading[i - 1]:
            since = time[i - 1]
        total[i] = total[i - 1] + advance
        epoch[i] = epoch[i - 1] + (1 if step[i] == STEP_RESET else 0)
    return total, epoch, step
