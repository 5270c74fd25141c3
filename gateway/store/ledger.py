"""Records on disk: KPI results and alarms by key with their newest revision, events as they happened.

They live in records.db, apart from the journal (whose rows come and go) and from the months (which
retention may drop): KPI records are the last thing a full disk may cost. `pending` as in the history.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.records import Alarm, Event, Health, KpiResult, Record
from gateway.store.codec import Codec
from gateway.store.database import open_writer
from gateway.store.journal import Draft, RowKind

NAME = "records.db"
SCHEMA = """
CREATE TABLE IF NOT EXISTS kpi(
    kpi TEXT NOT NULL, cadence TEXT NOT NULL, scope TEXT NOT NULL, start INTEGER NOT NULL,
    seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(kpi, cadence, scope, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarm(
    source TEXT NOT NULL, kind TEXT NOT NULL, raised INTEGER NOT NULL, cleared INTEGER NOT NULL,
    seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(source, kind, raised)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alarm_open ON alarm(cleared, raised);
CREATE INDEX IF NOT EXISTS alarm_raised ON alarm(raised);
CREATE TABLE IF NOT EXISTS event(id INTEGER PRIMARY KEY, time INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS event_time ON event(time);
CREATE TABLE IF NOT EXISTS pending(
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, n INTEGER NOT NULL, payload BLOB NOT NULL);
"""

KpiKey = tuple[str, str, str, int]
"""kpi, cadence, scope, start."""
AlarmKey = tuple[str, str, int]
"""source, kind, raised."""


class RecordKeys(msgspec.Struct, frozen=True):
    """The dirty keys of one journal row."""

    kpis: tuple[KpiKey, ...] = ()
    alarms: tuple[AlarmKey, ...] = ()


_to_json = msgspec.json.Encoder().encode
_to_kpi = msgspec.json.Decoder(KpiResult).decode
_to_alarm = msgspec.json.Decoder(Alarm).decode
_to_event = msgspec.json.Decoder(Event).decode
_to_keys = msgspec.json.Decoder(RecordKeys).decode
_to_payload = msgspec.json.Decoder(tuple[Event | Health, ...]).decode


@dataclass(frozen=True, slots=True)
class RecordSet:
    """Records sorted by what becomes of them."""

    kpis: tuple[KpiResult, ...]
    alarms: tuple[Alarm, ...]
    passing: tuple[Event | Health, ...]

    @classmethod
    def of(cls, records: Sequence[Record]) -> RecordSet:
        return cls(
            tuple(r for r in records if isinstance(r, KpiResult)),
            tuple(r for r in records if isinstance(r, Alarm)),
            tuple(r for r in records if isinstance(r, Event | Health)),
        )

    def keys(self) -> RecordKeys:
        """The keys of what is revisable, each once, in the order first named."""
        kpis = dict.fromkeys((k.kpi, k.cadence, k.scope, k.start) for k in self.kpis)
        alarms = dict.fromkeys((a.source, a.kind, a.raised) for a in self.alarms)
        return RecordKeys(tuple(kpis), tuple(alarms))

    def drafts(self, codec: Codec) -> list[Draft]:
        """The journal rows that tell of these records; keys first, so that their seq is the first one."""
        drafts = []
        keys = self.keys()
        n = len(keys.kpis) + len(keys.alarms)
        if n:
            drafts.append(Draft(RowKind.RECORD_KEYS, n, codec.compress(_to_json(keys))))
        if self.passing:
            payload = codec.compress(_to_json(self.passing))
            drafts.append(Draft(RowKind.RECORDS, len(self.passing), payload))
        return drafts


def decode_keys(codec: Codec, payload: bytes) -> RecordKeys:
    """Raises CorruptBlobError, msgspec.DecodeError."""
    return _to_keys(codec.decompress(payload))


def decode_passing(codec: Codec, payload: bytes) -> tuple[Event | Health, ...]:
    """Raises CorruptBlobError, msgspec.DecodeError."""
    return _to_payload(codec.decompress(payload))


def open_ledger(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.DatabaseError when the file is damaged."""
    return open_writer(path, SCHEMA)


def put(db: sqlite3.Connection, records: RecordSet, seq: int) -> None:
    """Store the records inside the caller's transaction. seq: the journal row that will name their keys."""
    db.executemany(
        "INSERT OR REPLACE INTO kpi VALUES(?,?,?,?,?,?)",
        [(k.kpi, k.cadence, k.scope, k.start, seq, _to_json(k)) for k in records.kpis],
    )
    db.executemany(
        "INSERT OR REPLACE INTO alarm VALUES(?,?,?,?,?,?)",
        [(a.source, a.kind, a.raised, a.cleared, seq, _to_json(a)) for a in records.alarms],
    )
    events = [(e.time, _to_json(e)) for e in records.passing if isinstance(e, Event)]
    db.executemany("INSERT INTO event(time, body) VALUES(?,?)", events)


def newest_kpis(db: sqlite3.Connection) -> list[KpiResult]:
    """The newest period of each (kpi, cadence, scope)."""
    rows = db.execute(
        "SELECT body, max(start) FROM kpi GROUP BY kpi, cadence, scope ORDER BY kpi, cadence, scope"
    )
    return [_to_kpi(body) for body, _ in rows]


def kpi_history(
    db: sqlite3.Connection, kpi: str, cadence: str, scope: str, start_ns: int, end_ns: int
) -> list[KpiResult]:
    rows = db.execute(
        "SELECT body FROM kpi WHERE kpi=? AND cadence=? AND scope=? AND start>=? AND start<? ORDER BY start",
        (kpi, cadence, scope, start_ns, end_ns),
    )
    return [_to_kpi(body) for (body,) in rows]


def open_alarms(db: sqlite3.Connection) -> list[Alarm]:
    """Alarms that are not cleared, newest first."""
    rows = db.execute("SELECT body FROM alarm WHERE cleared=0 ORDER BY raised DESC")
    return [_to_alarm(body) for (body,) in rows]


def alarms_between(db: sqlite3.Connection, start_ns: int, end_ns: int) -> list[Alarm]:
    """Alarms raised in [start, end), newest first."""
    rows = db.execute(
        "SELECT body FROM alarm WHERE raised>=? AND raised<? ORDER BY raised DESC", (start_ns, end_ns)
    )
    return [_to_alarm(body) for (body,) in rows]


def events_between(db: sqlite3.Connection, start_ns: int, end_ns: int) -> list[Event]:
    """Events in [start, end), newest first."""
    rows = db.execute(
        "SELECT body FROM event WHERE time>=? AND time<? ORDER BY time DESC", (start_ns, end_ns)
    )
    return [_to_event(body) for (body,) in rows]


def revisions(db: sqlite3.Connection, keys: RecordKeys, seq: int) -> tuple[list[KpiResult], list[Alarm]]:
    """The newest revision of each key, less what a journal row after `seq` names again."""
    kpis = []
    for key in keys.kpis:
        row = db.execute(
            "SELECT body FROM kpi WHERE kpi=? AND cadence=? AND scope=? AND start=? AND seq<=?", (*key, seq)
        ).fetchone()
        if row:
            kpis.append(_to_kpi(row[0]))
    alarms = []
    for alarm_key in keys.alarms:
        row = db.execute(
            "SELECT body FROM alarm WHERE source=? AND kind=? AND raised=? AND seq<=?", (*alarm_key, seq)
        ).fetchone()
        if row:
            alarms.append(_to_alarm(row[0]))
    return kpis, alarms
