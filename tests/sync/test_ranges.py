"""Acknowledged ranges against the plainest model: a dictionary from seq to when it was acknowledged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sync.outbox import SinkProgress
from sync.ranges import AckedRanges

SETTLE = 160
BUCKET = SETTLE // 16


def missing(ranges: AckedRanges, upto: int) -> list[int]:
    return [seq for first, last in ranges.gaps(upto) for seq in range(first, last + 1)]


def test_a_new_sink_has_everything_to_send() -> None:
    assert list(AckedRanges(SETTLE).gaps(7)) == [(1, 7)]


def test_nothing_committed_is_nothing_to_send() -> None:
    assert list(AckedRanges(SETTLE).gaps(0)) == []


def test_live_and_backlog_leave_a_gap_between_them() -> None:
    ranges = AckedRanges(SETTLE)
    ranges.acknowledge(1, 3, 0)
    ranges.acknowledge(8, 9, 0)
    assert list(ranges.gaps(10)) == [(4, 7), (10, 10)]


def test_a_word_becomes_settled_after_the_window_and_not_before() -> None:
    ranges = AckedRanges(SETTLE)
    ranges.acknowledge(1, 3, at_ns=100)
    ranges.settle(100 + SETTLE - 1)
    assert ranges.low_water == 0
    ranges.settle(100 + SETTLE)
    assert ranges.low_water == 3
    assert ranges.to_progress() == SinkProgress(3, ())


def test_what_is_settled_behind_a_gap_waits_for_the_gap() -> None:
    ranges = AckedRanges(SETTLE)
    ranges.acknowledge(5, 9, at_ns=0)
    ranges.settle(10 * SETTLE)
    assert ranges.low_water == 0
    ranges.acknowledge(1, 4, at_ns=0)
    ranges.settle(10 * SETTLE)
    assert ranges.low_water == 9


def test_only_the_unsettled_is_taken_back() -> None:
    ranges = AckedRanges(SETTLE)
    ranges.acknowledge(1, 3, at_ns=0)
    ranges.acknowledge(6, 8, at_ns=0)
    ranges.acknowledge(4, 4, at_ns=SETTLE)
    assert ranges.take_back_unsettled(SETTLE) == [(4, 4)]
    assert list(ranges.gaps(9)) == [(4, 5), (9, 9)]


def test_steady_sending_never_postpones_settling() -> None:
    """Neighbours are merged for economy; merging must not carry an old row along for ever."""
    ranges = AckedRanges(SETTLE)
    for second in range(1, 1000):
        ranges.acknowledge(second, second, at_ns=second)
        ranges.settle(second)
    assert ranges.low_water >= 999 - SETTLE - BUCKET
    assert len(ranges.to_progress().acked) <= 18


def test_after_the_clock_was_stepped_back_the_window_is_waited_out_once_more() -> None:
    ranges = AckedRanges(SETTLE)
    ranges.acknowledge(1, 1, at_ns=1_000_000)
    ranges.settle(500)
    ranges.settle(500 + SETTLE)
    assert ranges.low_water == 1


class RangesAgainstModel(RuleBasedStateMachine):
    """acked: seq -> the earliest and latest time that its acknowledgement may bear after merging."""

    @initialize()
    def begin(self) -> None:
        self.ranges = AckedRanges(SETTLE)
        self.acked: dict[int, int] = {}
        self.newest = 0
        self.now = 0

    @rule(rows=st.integers(1, 5), passed=st.integers(0, 60))
    def commit(self, rows: int, passed: int) -> None:
        self.newest += rows
        self.now += passed

    @rule(pick=st.integers(0, 10**6), rows=st.integers(1, 6), from_end=st.booleans())
    def acknowledge(self, pick: int, rows: int, from_end: bool) -> None:
        gaps = list(self.ranges.gaps(self.newest))
        if not gaps:
            return
        first, last = gaps[-1] if from_end else gaps[pick % len(gaps)]
        last = min(last, first + rows - 1)
        self.ranges.acknowledge(first, last, self.now)
        self.acked.update(dict.fromkeys(range(first, last + 1), self.now))

    @rule()
    def settle(self) -> None:
        self.ranges.settle(self.now)

    @rule()
    def lose_the_connection(self) -> None:
        before = self.ranges.low_water
        lost = self.ranges.take_back_unsettled(self.now)
        for first, last in lost:
            for seq in range(first, last + 1):
                assert self.now - self.acked.pop(seq) < SETTLE + BUCKET
        assert self.ranges.low_water >= before

    @rule()
    def restart(self) -> None:
        self.ranges = AckedRanges.from_progress(self.ranges.to_progress(), SETTLE)

    @invariant()
    def exactly_the_unacknowledged_is_still_to_send(self) -> None:
        assert missing(self.ranges, self.newest) == [
            seq for seq in range(1, self.newest + 1) if seq not in self.acked
        ]

    @invariant()
    def nothing_young_is_below_the_low_water_mark(self) -> None:
        young = [seq for seq, at in self.acked.items() if self.now - at < SETTLE]
        assert all(seq > self.ranges.low_water for seq in young)

    @invariant()
    def ranges_are_sorted_and_disjoint(self) -> None:
        edge = self.ranges.low_water
        for first, last, _ in self.ranges.to_progress().acked:
            assert edge < first <= last
            edge = last


TestRangesAgainstModel = RangesAgainstModel.TestCase


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9), st.integers(0, 500)), max_size=12))
def test_overlapping_acknowledgements_are_a_union(acks: list[tuple[int, int, int]]) -> None:
    ranges = AckedRanges(SETTLE)
    for first, extra, at in acks:
        ranges.acknowledge(first, first + extra, at)
    union = {seq for first, extra, _ in acks for seq in range(first, first + extra + 1)}
    assert missing(ranges, 60) == [seq for seq in range(1, 61) if seq not in union]
