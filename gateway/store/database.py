"""SQLite connections as the store wants them: WAL, FULL, incremental vacuum, explicit transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

BUSY_S = 10.0
NEW = ".new"
"""What a database is called until it has its schema."""
_WAL_LIMIT = 2 << 20
_CHECKPOINT_PAGES = 256
"""A WAL of about a megabyte: on a nearly full disk it is what must still fit."""


def open_writer(path: Path, schema: str) -> sqlite3.Connection:
    """Open for writing, creating the file or the schema where it is missing. Raises sqlite3.DatabaseError.

    A new file is built under another name and appears whole: a reader in another process may look at any
    moment, and a file without tables would be an error to it rather than empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        newborn = path.with_name(path.name + NEW)
        remove(newborn)
        # Closing the only connection brings its WAL into the file: what is renamed is all of it.
        _open_with_schema(newborn, schema).close()
        newborn.rename(path)
        _sync_folder(path.parent)
    return _open_with_schema(path, schema)


def _open_with_schema(path: Path, schema: str) -> sqlite3.Connection:
    """auto_vacuum must come before WAL, else it silently stays off; Debian builds SQLite with secure_delete,
    which would write every deleted byte once more.
    """
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=OFF")
        db.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT}")
        db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        with transaction(db):
            for statement in schema.split(";"):
                if statement.strip():
                    db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def _sync_folder(folder: Path) -> None:
    """Make a rename durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_reader(path: Path) -> sqlite3.Connection:
    """Open for reading only; the file must exist. Raises sqlite3.OperationalError."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA query_only=ON")
    return db


@contextmanager
def transaction(db: sqlite3.Connection, *, durable: bool = True) -> Iterator[None]:
    """One write transaction. Not durable: its commit waits for no fsync, though its order is kept.

    After a full disk SQLite has often rolled back by itself, hence the look at `in_transaction`.
    """
    if not durable:
        db.execute("PRAGMA synchronous=NORMAL")
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise
    finally:
        if not durable:
            db.execute("PRAGMA synchronous=FULL")


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """One consistent view over several reads."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def give_back_pages(db: sqlite3.Connection, pages: int) -> None:
    """Shrink the file by up to `pages` free pages (`execute` would free only one)."""
    db.executescript(f"PRAGMA incremental_vacuum({int(pages)});")


def free_pages(db: sqlite3.Connection) -> int:
    """Pages inside the file that hold nothing."""
    return int(db.execute("PRAGMA freelist_count").fetchone()[0])


def size_with_wal(path: Path) -> int:
    """Bytes that a database takes on disk, its WAL and shared index included."""
    total = 0
    for suffix in ("", "-wal", "-shm"):
        with suppress(OSError):
            total += Path(f"{path}{suffix}").stat().st_size
    return total


def remove(path: Path) -> None:
    """Delete a database that nobody writes any more."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


class ReaderPool:
    """Read connections to one file, lent one at a time: usable from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection. It is thrown away when its use failed: the file may have been replaced."""
        with self._lock:
            db = self._idle.pop() if self._idle else None
        if db is None:
            db = open_reader(self._path)
        try:
            yield db
        except BaseException:
            db.close()
            raise
        with self._lock:
            if not self._closed:
                self._idle.append(db)
                return
        db.close()

    def forget(self) -> None:
        """Close what is idle: the file was replaced by another."""
        with self._lock:
            idle, self._idle = self._idle, []
        for db in idle:
            db.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self.forget()
