"""A reader beside the writer never meets a file that has no schema yet."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from gateway.store import database
from gateway.store.database import NEW, open_writer
from gateway.store.history import SCHEMA, month_path
from gateway.store.reader import Reader

NOVEMBER = 1_762_000_000 * 10**9
"""A moment of 2025-11 [UTC ns]."""


def test_a_reader_during_the_birth_of_a_month_finds_it_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = month_path(tmp_path, (2025, 11))
    reads = []
    plain = database.transaction

    def watched(db: sqlite3.Connection) -> object:
        # The moment before the schema is written: the file's pragmas have been set, its tables are not there.
        with Reader(tmp_path) as reader:
            reads.append(len(reader.intervals(1, "15m", NOVEMBER, NOVEMBER + 1)))
            reads.append(len(reader.samples(1, NOVEMBER, NOVEMBER + 1)))
        return plain(db)

    monkeypatch.setattr(database, "transaction", watched)
    with closing(open_writer(month, SCHEMA)) as db:
        assert db.execute("SELECT count(*) FROM interval").fetchone() == (0,)
    assert reads
    assert set(reads) == {0}
    assert month.exists()


def test_what_a_crash_left_of_a_birth_is_in_nobodys_way(tmp_path: Path) -> None:
    month = month_path(tmp_path, (2025, 11))
    unfinished = month.with_name(month.name + NEW)
    unfinished.write_bytes(np.random.default_rng(1).bytes(5000))
    with closing(open_writer(month, SCHEMA)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert not unfinished.exists()
