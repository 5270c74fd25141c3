"""When to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.retry import Backoff, may_have_restarted
from sync.sink import Held, Pong, RetryAfter, Unreachable

BACKOFF = Backoff()


def test_failures_in_a_row_double_the_wait_up_to_the_ceiling() -> None:
    waits = [BACKOFF.delay(Unreachable("refused"), n, chance=1.0) for n in (1, 2, 3, 8, 1000)]
    assert waits == [0.5, 1.0, 2.0, 60.0, 60.0]


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_half_of_a_wait_is_jitter(failures: int, chance: float) -> None:
    full = BACKOFF.delay(Unreachable("dns"), failures, chance=1.0)
    assert full / 2 <= BACKOFF.delay(Unreachable("dns"), failures, chance) <= full


@given(st.floats(0, 3600), st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_retry_after_is_a_minimum(asked: float, failures: int, chance: float) -> None:
    assert BACKOFF.delay(RetryAfter(asked, "busy"), failures, chance) >= asked


def test_retry_after_zero_is_no_hot_loop() -> None:
    assert BACKOFF.delay(RetryAfter(0.0, "busy"), 1, 0.0) >= 0.5


def test_an_absurd_retry_after_is_believed_for_an_hour() -> None:
    assert BACKOFF.delay(RetryAfter(1e9, "busy"), 1, 0.0) == 3600


def test_what_waits_for_a_person_is_asked_seldom() -> None:
    assert BACKOFF.delay(Held("401"), 1, 0.0) >= 7.5
    assert BACKOFF.delay(Held("401"), 99, 1.0) == 300


@pytest.mark.parametrize(
    ("known", "pong", "reconnected", "suspected"),
    [
        ("2.7 100", Pong("2.7 100"), True, False),
        ("2.7 100", Pong("2.7 200"), False, True),
        ("", Pong(""), False, False),
        ("", Pong(""), True, True),
        ("2.7 100", Pong("", reconnected=True), False, True),
    ],
)
def test_a_server_is_the_same_run_when_it_proves_it_or_its_connection_held(
    known: str, pong: Pong, reconnected: bool, suspected: bool
) -> None:
    assert may_have_restarted(known, pong, reconnected=reconnected) is suspected
