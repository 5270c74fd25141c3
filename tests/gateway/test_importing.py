"""History enters through the spool: whole, once, and without stopping anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gateway.importing import BITE_ROWS, Importer, PastIntervals, write_spool
from gateway.store.columns import IntervalBlock

FLAG = 1
IDS = {("meter", "energy"): 4}


class Shelf:
    """An interval store in memory that can fail after some bites."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.blocks: list[IntervalBlock] = []
        self.fail_after = fail_after

    async def put_intervals(self, blocks: list[IntervalBlock], *, bulk: bool = False) -> int:
        assert bulk
        if self.fail_after is not None and len(self.blocks) >= self.fail_after:
            raise OSError("killed")
        self.blocks.extend(blocks)
        return len(self.blocks)


def past(device: str = "meter", rows: int = 3) -> PastIntervals:
    start = np.arange(rows, dtype=np.int64) * 900 * 10**9
    return PastIntervals(device, "energy", "15m", {"start": start, "delta": np.arange(rows, dtype=float)})


async def test_what_was_spooled_is_stored_flagged_and_the_file_is_gone(tmp_path: Path) -> None:
    write_spool(tmp_path, "past", [past()])
    shelf = Shelf()
    importer = Importer(tmp_path, shelf, FLAG)
    assert await importer.take(IDS) == 3
    (block,) = shelf.blocks
    assert (block.series, block.resolution) == (4, "15m")
    assert block.intervals.delta.tolist() == [0.0, 1.0, 2.0]
    assert np.isnan(block.intervals.mean).all()
    assert block.intervals.flags.tolist() == [FLAG] * 3
    assert importer.waiting() == []
    assert importer.progress is None


async def test_a_long_history_comes_in_bites(tmp_path: Path) -> None:
    write_spool(tmp_path, "past", [past(rows=2 * BITE_ROWS + 5)])
    shelf = Shelf()
    assert await Importer(tmp_path, shelf, FLAG).take(IDS) == 2 * BITE_ROWS + 5
    assert [len(block.intervals) for block in shelf.blocks] == [BITE_ROWS, BITE_ROWS, 5]


async def test_a_point_nobody_configured_is_left_out_and_the_others_arrive(tmp_path: Path) -> None:
    write_spool(tmp_path, "past", [past("ghost"), past()])
    shelf = Shelf()
    assert await Importer(tmp_path, shelf, FLAG).take(IDS) == 3


async def test_an_import_that_was_killed_starts_again(tmp_path: Path) -> None:
    write_spool(tmp_path, "past", [past(rows=2 * BITE_ROWS)])
    with pytest.raises(OSError, match="killed"):
        await Importer(tmp_path, Shelf(fail_after=1), FLAG).take(IDS)
    shelf = Shelf()
    importer = Importer(tmp_path, shelf, FLAG)
    assert len(importer.waiting()) == 1
    assert await importer.take(IDS) == 2 * BITE_ROWS


async def test_a_file_that_is_no_history_is_set_aside_and_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "junk.intervals.npz").write_bytes(b"nonsense")
    importer = Importer(tmp_path, Shelf(), FLAG)
    assert await importer.take(IDS) == 0
    assert importer.waiting() == []
    assert [path.suffix for path in tmp_path.iterdir()] == [".unreadable"]


def test_a_half_written_file_is_not_in_the_spool(tmp_path: Path) -> None:
    def broken() -> object:
        yield past()
        raise RuntimeError("out of power")

    with pytest.raises(RuntimeError):
        write_spool(tmp_path, "past", broken())  # type: ignore[arg-type]
    assert Importer(tmp_path, Shelf(), FLAG).waiting() == []


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.arange(3))


def flip_a_byte_of_a_column(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.find(b"0.delta.npy") + 150] ^= 0xFF
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut_in_half, empty, one_array, flip_a_byte_of_a_column])
async def test_a_damaged_file_is_set_aside_and_the_next_one_is_imported(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(write_spool(tmp_path, "a-damaged", [past()]))
    write_spool(tmp_path, "b-whole", [past()])
    importer = Importer(tmp_path, Shelf(), FLAG)
    assert await importer.take(IDS) == 3
    assert importer.waiting() == []
    assert [path.name for path in tmp_path.iterdir()] == ["a-damaged.intervals.unreadable"]


@pytest.mark.parametrize(
    "block",
    [
        PastIntervals("meter", "energy", "7m", {"start": np.arange(3)}),
        PastIntervals("meter", "energy", "15m", {"start": np.arange(3), "mean": np.zeros(2)}),
        PastIntervals("meter", "energy", "15m", {"start": np.array(["yesterday"])}),
    ],
    ids=["unknown resolution", "columns of different lengths", "no times"],
)
async def test_a_block_that_makes_no_sense_is_set_aside(tmp_path: Path, block: PastIntervals) -> None:
    write_spool(tmp_path, "past", [block])
    shelf = Shelf()
    importer = Importer(tmp_path, shelf, FLAG)
    assert await importer.take(IDS) == 0
    assert shelf.blocks == []
    assert importer.waiting() == []
