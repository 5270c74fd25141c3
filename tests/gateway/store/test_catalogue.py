"""A point keeps its series for life."""

from __future__ import annotations

import sqlite3

import pytest

from gateway.store.catalogue import BACKUP_NAME, NAME, SeriesSpec
from gateway.store.store import Store

METER = SeriesSpec("meter", "energy", "electric_energy", "kWh", "counter")


def named(device: str, point: str = "energy") -> SeriesSpec:
    return SeriesSpec(device, point, "electric_energy", "kWh", "counter")


async def test_a_point_has_the_same_series_each_time_it_is_registered(store: Store, open_store) -> None:
    first = store.catalogue.register([METER, named("other")])
    await store.close()
    again = (await open_store()).catalogue.register([named("other"), METER])
    assert again == first


async def test_a_renamed_point_keeps_its_series_under_both_names(store: Store) -> None:
    (series,) = store.catalogue.register([METER]).values()
    store.catalogue.rename(("meter", "energy"), ("main-meter", "energy"))
    assert store.catalogue.register([named("main-meter")]) == {("main-meter", "energy"): series}
    assert store.catalogue.register([METER]) == {("meter", "energy"): series}
    assert store.catalogue.tags(series).device == "main-meter"


async def test_a_new_point_under_an_old_name_is_a_new_series(store: Store) -> None:
    (series,) = store.catalogue.register([METER]).values()
    store.catalogue.rename(("meter", "energy"), ("main-meter", "energy"))
    both = store.catalogue.register([METER, named("main-meter")])
    assert both["main-meter", "energy"] == series
    assert both["meter", "energy"] != series


async def test_a_name_that_has_a_series_of_its_own_cannot_be_taken(store: Store) -> None:
    store.catalogue.register([METER, named("other")])
    with pytest.raises(ValueError, match="series of its own"):
        store.catalogue.rename(("meter", "energy"), ("other", "energy"))
    with pytest.raises(KeyError):
        store.catalogue.rename(("nobody", "energy"), ("new", "energy"))


async def test_a_changed_unit_opens_an_epoch_of_the_same_series(store: Store, clock) -> None:
    (series,) = store.catalogue.register([METER]).values()
    clock.advance(60)
    changed = SeriesSpec("meter", "energy", "volume", "m3", "counter")
    assert store.catalogue.register([changed]) == {("meter", "energy"): series}
    epochs = store.catalogue.epochs(series)
    assert [(e.epoch, e.unit) for e in epochs] == [(0, "kWh"), (1, "m3")]
    assert epochs[1].since == clock.now


async def test_a_swapped_meter_opens_an_epoch(store: Store) -> None:
    (series,) = store.catalogue.register([METER]).values()
    assert store.catalogue.start_epoch(series, "meter swapped, serial 42") == 1
    assert store.catalogue.epochs(series)[-1].reason == "meter swapped, serial 42"
    assert store.catalogue.series()[0].epoch == 1


async def test_notes_are_kept_by_kind_and_key(store: Store, open_store) -> None:
    store.catalogue.set_note("modbus.block", "meter", "60")
    store.catalogue.set_note("modbus.hole", "meter", "x")
    store.catalogue.set_note("modbus.hole", "meter", None)
    await store.close()
    catalogue = (await open_store()).catalogue
    assert catalogue.note("modbus.block", "meter") == "60"
    assert catalogue.note("modbus.hole", "meter") is None
    assert catalogue.notes("modbus.block") == {"meter": "60"}


async def test_each_change_is_in_the_backup(store: Store) -> None:
    store.catalogue.register([METER])
    db = sqlite3.connect(store.path / BACKUP_NAME)
    assert db.execute("SELECT device, point FROM series").fetchall() == [("meter", "energy")]
    db.close()


async def test_a_damaged_catalogue_is_replaced_by_its_backup(store: Store, open_store) -> None:
    ids = store.catalogue.register([METER, named("other")])
    await store.close()
    (store.path / NAME).write_bytes(b"\x13" * 8192)
    again = await open_store()
    assert again.catalogue.register([named("other"), METER]) == ids
    assert list(store.path.glob(f"{NAME}.corrupt-*"))


async def test_without_catalogue_and_backup_no_id_is_handed_out_twice(store: Store, open_store) -> None:
    from drivers.base import Batch

    ids = store.catalogue.register([METER, named("other")])
    await store.append(Batch.of(list(ids.values()), 1_760_000_000_000_000_000, [1.0, 2.0]))
    await store.compact()
    await store.close()
    (store.path / NAME).unlink()
    (store.path / BACKUP_NAME).unlink()
    again = (await open_store()).catalogue.register([named("quite-new")])
    assert again["quite-new", "energy"] > max(ids.values())
