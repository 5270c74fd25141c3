"""A round of compaction takes what was there when it began, whatever is committed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.base import Batch
from gateway.store.codec import Codec
from gateway.store.compactor import Compactor, encode_samples
from gateway.store.journal import Draft, RowKind
from gateway.store.log import Log
from gateway.store.months import Months
from gateway.store.reader import Reader

SECOND = 1_000_000_000
NOON = 1_760_000_000 * SECOND
MORE_THAN_A_STEP = 60
"""Rows after which a round has let commits in between."""


@pytest.fixture
def journal_log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path, lambda: NOON)
    yield log
    log.close()


@pytest.fixture
def compactor(tmp_path: Path, journal_log: Log) -> Iterator[Compactor]:
    months = Months(tmp_path, lambda: NOON, journal_log.count_quarantined)
    yield Compactor(journal_log, months)
    months.close()


def commit(log: Log, at: int) -> None:
    batch = Batch.of([1], NOON + at * SECOND, [float(at)])
    log.append([Draft(RowKind.SAMPLES, 1, encode_samples(Codec(), batch))])


def test_what_is_committed_in_the_middle_of_a_round_waits_for_the_next(
    tmp_path: Path, journal_log: Log, compactor: Compactor
) -> None:
    for at in range(MORE_THAN_A_STEP):
        commit(journal_log, at)
    one_round = compactor.run()
    next(one_round)
    commit(journal_log, MORE_THAN_A_STEP)
    list(one_round)
    assert compactor.mark == MORE_THAN_A_STEP
    with Reader(tmp_path) as reader:
        assert len(reader.samples(1, 0, 2 * NOON)) == MORE_THAN_A_STEP + 1
        list(compactor.run())
        assert len(reader.samples(1, 0, 2 * NOON)) == MORE_THAN_A_STEP + 1
    assert compactor.mark == MORE_THAN_A_STEP + 1
