"""What was learned of a device is known again after a restart."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.quirks import Quirks
from gateway.store.catalogue import Catalogue


def test_what_was_learned_is_recalled_at_once_and_after_a_restart(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path, time.time_ns, "site")
    quirks = Quirks(catalogue)
    quirks.learn("meter/limit", "60")
    quirks.learn("meter/holes", "3-5")
    quirks.learn("meter/holes", None)
    assert quirks.recall("meter/limit") == "60"
    quirks.close()
    catalogue.close()
    again = Catalogue(tmp_path, time.time_ns, "site")
    assert Quirks(again).recall("meter/limit") == "60"
    assert Quirks(again).recall("meter/holes") is None
    again.close()
