"""A clock is watched, not believed."""

from __future__ import annotations

from gateway.clock import SECOND_NS, SteppedClock
from gateway.timewatch import EARLIEST_NS, TimeWatch


async def test_time_that_passes_is_no_step() -> None:
    clock = SteppedClock(EARLIEST_NS + SECOND_NS)
    watch = TimeWatch(clock)
    await clock.advance(3600)
    assert watch.look().step_s == 0.0


def test_a_step_is_noticed_once_with_its_size() -> None:
    clock = SteppedClock(EARLIEST_NS + SECOND_NS)
    watch = TimeWatch(clock)
    clock.step_utc(-3600)
    assert watch.look().step_s == -3600
    assert watch.look().step_s == 0.0


def test_a_boot_without_a_clock_is_suspect_until_time_is_known() -> None:
    clock = SteppedClock(0)
    watch = TimeWatch(clock)
    assert watch.suspect
    assert watch.look().suspect
    clock.step_utc(EARLIEST_NS / SECOND_NS + 1000)
    news = watch.look()
    assert news.became_known
    assert not news.suspect
