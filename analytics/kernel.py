"""The one way to make a compiled kernel: cached on disk, free of the GIL, NaN kept (never fastmath).

With NUMBA_DISABLE_JIT=1 a kernel is the plain Python function, for debugging and coverage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile at first call, or load from the cache (NUMBA_CACHE_DIR where the package is read-only)."""
    return cast(F, njit(cache=True, nogil=True)(function))
