"""What raises an alarm, what clears it, and that it has both of its times."""

from __future__ import annotations

import msgspec

from gateway.alarms import AlarmBoard, Condition, Losses, LossWatch, Thresholds, conditions, undecided
from gateway.clock import SECOND_NS
from gateway.records import KpiResult, Severity, Status
from gateway.status import DeviceStatus, PointStatus, SinkStatus, SiteStatus, StoreStatus

NOW = 1_790_000_000 * SECOND_NS


def device(**changes: object) -> DeviceStatus:
    base = DeviceStatus(
        device="ahu-1",
        link="bms",
        driver="bacnet",
        online=True,
        last_answer=NOW,
        since=NOW,
        latency_ms=3.0,
        points=2,
        points_good=2,
    )
    return msgspec.structs.replace(base, **changes)


def point(**changes: object) -> PointStatus:
    base = PointStatus(
        series=1,
        device="ahu-1",
        point="supply_temp",
        quantity="temperature",
        unit="degC",
        kind="gauge",
        value=18.0,
        quality=0,
        time=NOW,
    )
    return msgspec.structs.replace(base, **changes)


def sink(**changes: object) -> SinkStatus:
    base = SinkStatus(
        sink="central",
        connected=True,
        since=NOW,
        backlog=0,
        acknowledged=10,
        dead_letters=0,
        oldest_unsent=0,
        last_success=NOW,
    )
    return msgspec.structs.replace(base, **changes)


def site(**changes: object) -> SiteStatus:
    store = StoreStatus(
        path="state",
        bytes_used=10,
        bytes_cap=100,
        bytes_free_on_disk=1000,
        samples_committed=5,
        newest_seq=1,
        oldest_seq=1,
        dropped=0,
        quarantined=0,
        mode="disk",
    )
    base = SiteStatus(
        site="s",
        name="S",
        timezone="UTC",
        time=NOW,
        started=NOW - 3600 * SECOND_NS,
        ready=True,
        not_ready_because=(),
        devices=(device(),),
        sinks=(sink(),),
        store=store,
        alarms=(),
        kpis=(),
        worker="warm",
    )
    return msgspec.structs.replace(base, **changes)


def kinds(status: SiteStatus, *points: PointStatus) -> set[tuple[str, str]]:
    return {(one.source, one.kind) for one in conditions(status, points)}


def test_all_well_is_no_condition() -> None:
    assert conditions(site(), [point()]) == []


def test_a_lost_device_is_one_alarm_and_not_one_for_each_of_its_points() -> None:
    status = site(devices=(device(online=False, fault="no_answer"),))
    assert kinds(status, point(quality=32, value=None)) == {("ahu-1", "device_lost")}


def test_a_device_that_was_not_asked_yet_is_not_lost() -> None:
    assert kinds(site(devices=(device(online=False, last_answer=0),))) == set()


def test_a_bad_and_a_stale_point_are_told_apart() -> None:
    assert kinds(site(), point(quality=34)) == {("ahu-1/supply_temp", "point_bad")}
    assert kinds(site(), point(quality=48)) == {("ahu-1/supply_temp", "point_stale")}


WAITING = {"backlog": 100, "oldest_unsent": NOW - 400 * SECOND_NS}


def test_a_buffer_that_fills_because_the_cloud_is_away_is_told_before_it_is_full() -> None:
    store = msgspec.structs.replace(site().store, bytes_used=81)
    assert kinds(site(store=store, sinks=(sink(**WAITING),))) == {("store", "buffer_filling")}


def test_a_store_full_of_history_that_is_sent_is_no_alarm() -> None:
    store = msgspec.structs.replace(site().store, bytes_used=95)
    assert kinds(site(store=store)) == set()


def test_what_was_lost_lately_is_told_and_what_was_lost_long_ago_is_not() -> None:
    watch, store = LossWatch(keep_s=86400.0), site().store
    before = msgspec.structs.replace(store, dropped=1000, quarantined=2)
    assert watch.look(before, 0.0) == Losses()
    after = msgspec.structs.replace(store, dropped=1500, quarantined=3)
    losses = watch.look(after, 10.0)
    assert losses == Losses(500, 1)
    found = {(one.source, one.kind) for one in conditions(site(store=after), [], losses=losses)}
    assert found == {("store", "samples_dropped"), ("store", "store_quarantined")}
    assert watch.look(after, 86500.0) == Losses()


def test_a_disk_that_cannot_be_written_is_critical() -> None:
    store = msgspec.structs.replace(site().store, mode="memory")
    (found,) = conditions(site(store=store), [])
    assert (found.kind, found.severity) == ("store_degraded", Severity.CRITICAL)


def test_sync_is_stuck_when_something_waits_and_nothing_arrived_for_long() -> None:
    long_ago = NOW - 400 * SECOND_NS
    stuck = sink(backlog=100, oldest_unsent=long_ago, last_success=long_ago, last_error="refused")
    assert kinds(site(sinks=(stuck,))) == {("sync/central", "sync_stuck")}
    draining = sink(backlog=100, oldest_unsent=long_ago, last_success=NOW)
    assert kinds(site(sinks=(draining,))) == set()


def test_a_kpi_below_target_is_told_for_complete_periods_only() -> None:
    kpi = KpiResult(
        kpi="energy_savings",
        cadence="monthly",
        scope="site",
        start=0,
        end=1,
        unit="%",
        value=3.0,
        target=20.0,
        status=Status.BELOW,
    )
    assert kinds(site(kpis=(kpi,))) == {("kpi/energy_savings", "kpi_below_target")}
    partial = msgspec.structs.replace(kpi, partial=True)
    assert kinds(site(kpis=(partial,))) == set()


LOST = Condition("ahu-1", "device_lost", Severity.CRITICAL, "gone")
HELD = Condition("ahu-1/t", "point_bad", Severity.WARNING, "bad", hold_s=60.0)


def test_an_alarm_is_raised_once_and_cleared_once_with_both_times() -> None:
    board = AlarmBoard()
    (raised,) = board.update([LOST], NOW)
    assert board.update([LOST], NOW + SECOND_NS) == []
    (cleared,) = board.update([], NOW + 5 * SECOND_NS)
    assert (raised.raised, raised.cleared) == (NOW, 0)
    assert (cleared.raised, cleared.cleared) == (NOW, NOW + 5 * SECOND_NS)
    assert board.open == ()


def test_a_condition_has_to_last_before_it_is_an_alarm_and_then_tells_when_it_began() -> None:
    board = AlarmBoard()
    assert board.update([HELD], NOW) == []
    assert board.update([HELD], NOW + 59 * SECOND_NS) == []
    (raised,) = board.update([HELD], NOW + 60 * SECOND_NS)
    assert raised.raised == NOW


def test_a_condition_that_comes_and_goes_starts_its_time_anew() -> None:
    board = AlarmBoard()
    board.update([HELD], NOW)
    board.update([], NOW + 30 * SECOND_NS)
    assert board.update([HELD], NOW + 61 * SECOND_NS) == []


def test_an_alarm_open_at_the_last_stop_goes_on_with_its_own_time() -> None:
    (raised,) = AlarmBoard().update([LOST], NOW)
    board = AlarmBoard([raised])
    assert board.update([LOST], NOW + 100 * SECOND_NS) == []
    (cleared,) = board.update([], NOW + 200 * SECOND_NS)
    assert cleared.raised == NOW


def test_thresholds_can_be_moved() -> None:
    status = site(store=msgspec.structs.replace(site().store, bytes_used=81), sinks=(sink(**WAITING),))
    assert conditions(status, [], Thresholds(buffer_share=0.9)) == []


def test_after_a_restart_a_lost_device_stays_lost_until_something_is_known_of_it() -> None:
    (raised,) = AlarmBoard().update([LOST], NOW)
    board = AlarmBoard([raised])
    unknown = site(devices=(device(online=False, last_answer=0),))
    assert undecided(unknown) == {"ahu-1"}
    assert board.update([], NOW + SECOND_NS, undecided=undecided(unknown)) == []
    answered = site()
    (cleared,) = board.update([], NOW + 2 * SECOND_NS, undecided=undecided(answered))
    assert cleared.cleared == NOW + 2 * SECOND_NS


def test_a_step_of_the_clock_does_not_shorten_what_has_to_last() -> None:
    board = AlarmBoard()
    board.update([HELD], NOW, 0.0)
    assert board.update([HELD], NOW + 3600 * SECOND_NS, 1.0) == []
    assert len(board.update([HELD], NOW + 3660 * SECOND_NS, 60.0)) == 1
