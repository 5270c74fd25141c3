"""Columns come back bit for bit, and what is damaged is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.store.codec import Codec
from gateway.store.errors import CorruptBlobError

floats = hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(width=64))
singles = hnp.arrays(np.float32, st.integers(0, 60), elements=st.floats(width=32))
decimals = st.lists(st.integers(-(10**9), 10**9).map(lambda n: n / 1000), max_size=60)
ints = hnp.arrays(np.int64, st.integers(0, 60))


def round_trip(column: np.ndarray) -> np.ndarray:
    codec = Codec()
    layout = "f" if column.dtype == np.float64 else "i"
    (back,) = codec.decode(codec.encode([column]), len(column), layout)
    return back


@given(ints)
def test_integers_come_back_even_where_their_difference_overflows(column: np.ndarray) -> None:
    assert (round_trip(column) == column).all()


@given(floats)
def test_floats_come_back_bit_for_bit_signs_infinities_and_nan_payloads_included(column: np.ndarray) -> None:
    assert (round_trip(column).view(np.int64) == column.view(np.int64)).all()


@given(singles)
def test_values_of_single_precision_come_back_bit_for_bit(column: np.ndarray) -> None:
    wide = column.astype(np.float64)
    assert (round_trip(wide).view(np.int64) == wide.view(np.int64)).all()


@given(decimals)
def test_decimal_values_come_back_bit_for_bit(column: list[float]) -> None:
    array = np.array(column, np.float64)
    assert (round_trip(array).view(np.int64) == array.view(np.int64)).all()


def test_missing_values_among_good_ones_come_back_as_missing() -> None:
    column = np.array([1.5, np.nan, 2.5, np.nan])
    assert np.isnan(round_trip(column)).tolist() == [False, True, False, True]


def test_times_on_a_grid_and_a_meter_register_take_less_than_two_bytes_a_sample() -> None:
    steps = np.random.default_rng(1).integers(0, 9, 1000)
    time = 1_760_000_000_000_000_000 + np.arange(1000) * 10_000_000_000
    body = Codec(level=3).encode([time, np.cumsum(steps) / 100, np.zeros(1000, np.uint8)])
    assert len(body) < 2 * 1000


@given(st.binary(max_size=64), st.integers(1, 100))
def test_bytes_that_are_no_columns_are_refused(blob: bytes, n: int) -> None:
    with pytest.raises(CorruptBlobError):
        Codec().decode(blob, n, "if")


def test_a_blob_that_is_shorter_than_its_row_says_is_refused() -> None:
    codec = Codec()
    blob = codec.encode([np.arange(10) ** 3])
    with pytest.raises(CorruptBlobError):
        codec.decode(blob, 100_000, "i")
