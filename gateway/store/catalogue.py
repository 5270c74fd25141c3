"""The catalogue: which series a point is, for life, with its epochs, names it had, and notes on devices."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from gateway.store.database import open_writer, remove, transaction
from gateway.store.history import month_files
from gateway.store.recovery import highest_series, open_or_replace
from sync.outbox import SeriesTags

NAME = "catalogue.db"
BACKUP_NAME = "catalogue.bak"
SCHEMA = """
CREATE TABLE IF NOT EXISTS series(
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, point TEXT NOT NULL, quantity TEXT NOT NULL,
    unit TEXT NOT NULL, kind TEXT NOT NULL, epoch INTEGER NOT NULL, UNIQUE(device, point));
CREATE TABLE IF NOT EXISTS alias(
    device TEXT NOT NULL, point TEXT NOT NULL, series INTEGER NOT NULL,
    PRIMARY KEY(device, point)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epoch(
    series INTEGER NOT NULL, epoch INTEGER NOT NULL, since INTEGER NOT NULL, quantity TEXT NOT NULL,
    unit TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY(series, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note(
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID;
"""

PointKey = tuple[str, str]
"""Device and point."""


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """A point that wants a series."""

    device: str
    point: str
    quantity: str
    unit: str
    kind: str


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A series as the catalogue knows it. epoch: rises with each change of meter, quantity or unit."""

    series: int
    device: str
    point: str
    quantity: str
    unit: str
    kind: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """What a series meant since a moment [UTC ns]."""

    epoch: int
    since: int
    quantity: str
    unit: str
    reason: str


class Catalogue:
    """Thread-safe. Changes are rare; each is committed and backed up before it returns."""

    def __init__(self, folder: Path, now: Callable[[], int], site: str, first_id: int = 1) -> None:
        """first_id: no new series gets a lower id (a lost catalogue must not hand out old ids again)."""
        self._db = open_writer(folder / NAME, SCHEMA)
        self._backup_path = folder / BACKUP_NAME
        self._now = now
        self._site = site
        self._first_id = first_id
        self._lock = Lock()
        self._tags: dict[int, SeriesTags] = {}
        self._load()

    def register(self, points: Sequence[SeriesSpec]) -> dict[PointKey, int]:
        """The series of each point, made where it is new.

        A point known by an earlier name keeps its series, unless that series also goes by its present
        name in the same call: then the old name is a new point's. A changed quantity or unit opens an
        epoch.
        """
        with self._lock:
            known = {(i.device, i.point): i for i in read_series(self._db)}
            claimed = {known[key].series for key in ((p.device, p.point) for p in points) if key in known}
            found: dict[PointKey, int] = {}
            changed = False
            with transaction(self._db):
                for point in points:
                    key = (point.device, point.point)
                    info = known.get(key) or self._by_alias(key, claimed)
                    if info is None:
                        info = self._create(point)
                        changed = True
                    elif (info.quantity, info.unit, info.kind) != (point.quantity, point.unit, point.kind):
                        self._redefine(info, point)
                        changed = True
                    known[key] = info
                    found[key] = info.series
            if changed:
                self._changed()
            return found

    def rename(self, old: PointKey, new: PointKey) -> None:
        """Give a series a new name; the old one stays known. Raises KeyError, ValueError."""
        with self._lock:
            info = self._by_name(old)
            if info is None:
                raise KeyError(f"{old[0]}/{old[1]} has no series")
            taken = self._by_name(new)
            if taken is not None and taken.series != info.series:
                raise ValueError(f"{new[0]}/{new[1]} has a series of its own")
            with transaction(self._db):
                self._db.execute("UPDATE series SET device=?, point=? WHERE id=?", (*new, info.series))
                self._db.execute("INSERT OR REPLACE INTO alias VALUES(?,?,?)", (*old, info.series))
                self._db.execute("DELETE FROM alias WHERE device=? AND point=?", new)
            self._changed()

    def start_epoch(self, series: int, reason: str) -> int:
        """Note that the meter behind a series was swapped: same series, new epoch. Raises KeyError."""
        with self._lock:
            info = next((i for i in read_series(self._db) if i.series == series), None)
            if info is None:
                raise KeyError(f"no series {series}")
            with transaction(self._db):
                self._open_epoch(series, info.epoch + 1, info.quantity, info.unit, reason)
            self._changed()
            return info.epoch + 1

    def epochs(self, series: int) -> list[Epoch]:
        """What a series meant, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT epoch, since, quantity, unit, reason FROM epoch WHERE series=? ORDER BY epoch",
                (series,),
            )
            return [Epoch(*row) for row in rows]

    def series(self) -> list[SeriesInfo]:
        with self._lock:
            return read_series(self._db)

    def tags(self, series: int) -> SeriesTags:
        """How a series is named at a sink. Raises KeyError."""
        return self._tags[series]

    def tags_of(self, series: Iterable[int]) -> list[SeriesTags]:
        """Tags of many series, one for each; a series that nobody knows is told as such, never dropped."""
        tags = self._tags
        return [
            tags.get(one) or SeriesTags("unknown", self._site, "_unknown", str(one), "1") for one in series
        ]

    def note(self, kind: str, key: str) -> str | None:
        """A note on something learned, such as a device's largest request."""
        with self._lock:
            row = self._db.execute("SELECT value FROM note WHERE kind=? AND key=?", (kind, key)).fetchone()
            return str(row[0]) if row else None

    def notes(self, kind: str) -> dict[str, str]:
        with self._lock:
            return dict(self._db.execute("SELECT key, value FROM note WHERE kind=?", (kind,)).fetchall())

    def set_note(self, kind: str, key: str, value: str | None) -> None:
        """Keep a note; None forgets it. A note that says what is known already writes nothing."""
        if self.note(kind, key) == value:
            return
        with self._lock:
            with transaction(self._db):
                if value is None:
                    self._db.execute("DELETE FROM note WHERE kind=? AND key=?", (kind, key))
                else:
                    self._db.execute("INSERT OR REPLACE INTO note VALUES(?,?,?)", (kind, key, value))
            self._changed()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _by_name(self, key: PointKey) -> SeriesInfo | None:
        row = self._db.execute(f"{_SELECT} WHERE device=? AND point=?", key).fetchone()
        return SeriesInfo(*row) if row else None

    def _by_alias(self, key: PointKey, claimed: set[int]) -> SeriesInfo | None:
        row = self._db.execute(
            f"{_SELECT} WHERE id=(SELECT series FROM alias WHERE device=? AND point=?)",  # noqa: S608
            key,
        ).fetchone()
        return SeriesInfo(*row) if row and row[0] not in claimed else None

    def _create(self, point: SeriesSpec) -> SeriesInfo:
        row = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM series").fetchone()
        series = max(self._first_id, int(row[0]))
        self._db.execute(
            "INSERT INTO series VALUES(?,?,?,?,?,?,0)",
            (series, point.device, point.point, point.quantity, point.unit, point.kind),
        )
        self._db.execute("DELETE FROM alias WHERE device=? AND point=?", (point.device, point.point))
        self._open_epoch(series, 0, point.quantity, point.unit, "first seen")
        return SeriesInfo(series, point.device, point.point, point.quantity, point.unit, point.kind, 0)

    def _redefine(self, info: SeriesInfo, point: SeriesSpec) -> None:
        self._db.execute(
            "UPDATE series SET quantity=?, unit=?, kind=? WHERE id=?",
            (point.quantity, point.unit, point.kind, info.series),
        )
        if (info.quantity, info.unit) != (point.quantity, point.unit):
            reason = f"{info.quantity} [{info.unit}] became {point.quantity} [{point.unit}]"
            self._open_epoch(info.series, info.epoch + 1, point.quantity, point.unit, reason)

    def _open_epoch(self, series: int, epoch: int, quantity: str, unit: str, reason: str) -> None:
        self._db.execute("UPDATE series SET epoch=? WHERE id=?", (epoch, series))
        self._db.execute(
            "INSERT INTO epoch VALUES(?,?,?,?,?,?)", (series, epoch, self._now(), quantity, unit, reason)
        )

    def _changed(self) -> None:
        self._load()
        self._back_up()

    def _load(self) -> None:
        self._tags = {
            i.series: SeriesTags(i.quantity, self._site, i.device, i.point, i.unit)
            for i in read_series(self._db)
        }

    def _back_up(self) -> None:
        """Copy to a new file, then put it in the old one's place: there is always one whole backup."""
        fresh = self._backup_path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with closing(sqlite3.connect(fresh)) as target:
            self._db.backup(target)
        fresh.replace(self._backup_path)


_SELECT = "SELECT id, device, point, quantity, unit, kind, epoch FROM series"


def read_series(db: sqlite3.Connection) -> list[SeriesInfo]:
    """All series, by id."""
    return [SeriesInfo(*row) for row in db.execute(f"{_SELECT} ORDER BY id")]


def open_catalogue(folder: Path, now: Callable[[], int], site: str) -> Catalogue:
    """Open the catalogue; a damaged one is set aside and its backup taken.

    Without a usable backup it starts empty, above every series id that the history holds: an id that
    meant one point never comes to mean another.
    """
    path = folder / NAME
    is_new = not path.exists()
    found, aside = open_or_replace(path, lambda: Catalogue(folder, now, site), now())
    if aside is None and not (is_new and month_files(folder)):
        return found
    found.close()
    remove(path)
    backup = folder / BACKUP_NAME
    if backup.exists():
        shutil.copyfile(backup, path)
        found, unusable = open_or_replace(path, lambda: Catalogue(folder, now, site), now())
        if unusable is None:
            return found
        found.close()
        remove(path)
    return Catalogue(folder, now, site, highest_series(folder) + 1)
