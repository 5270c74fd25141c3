"""Long work on a thread lets others run: it rests by the clock, not by the item."""

from __future__ import annotations

from gateway.store.pace import REST_S, WORK_S, Pace


class _Time:
    """Stands still until something works or sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_every_item_comes_in_order() -> None:
    assert list(Pace().over(range(1000))) == list(range(1000))


def test_short_work_is_not_slowed_down() -> None:
    time = _Time()
    for _ in Pace(time, time.sleep).over(range(100)):
        time.now += WORK_S / 1000
    assert time.slept == []


def test_long_work_rests_after_each_millisecond_of_it() -> None:
    time = _Time()
    for _ in Pace(time, time.sleep).over(range(100)):
        time.now += WORK_S * 0.6
    assert time.slept == [REST_S] * 49


def test_time_asleep_is_no_work() -> None:
    time = _Time()
    slow = Pace(time, time.sleep)
    assert [len(time.slept) for _ in slow.over(range(3))] == [0, 0, 0]
    time.now += 2 * WORK_S
    assert [len(time.slept) for _ in slow.over(range(3))] == [1, 1, 1]
