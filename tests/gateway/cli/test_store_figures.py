"""`heyzack store stats` counts what the store has, without disturbing it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from click.testing import CliRunner

from drivers.base import Batch
from gateway.cli import main
from gateway.site import StoreSettings
from gateway.store.store import Store


async def test_samples_in_the_journal_are_counted_beside_the_writer(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("site: {id: office, timezone: Europe/Paris}\n", encoding="utf-8")
    folder = tmp_path / "state"
    store = Store.open(folder, now=time.time_ns, settings=StoreSettings(folder), site="office")
    try:
        await store.append(Batch.of([1, 2, 3], time.time_ns(), [1.0, 2.0, 3.0]))
        await store.append(Batch.of([1, 2], time.time_ns(), [4.0, 5.0]))
        result = CliRunner().invoke(main, ["store", "stats", "--config", str(tmp_path), "--json"])
    finally:
        await store.close()
    figures = json.loads(result.stdout)
    assert result.exit_code == 0
    assert figures["samples_in_journal"] == 5
    assert figures["newest_seq"] >= figures["oldest_seq"] > 0
    assert figures["bytes_used"] == sum(figures["bytes_by_kind"].values()) > 0
