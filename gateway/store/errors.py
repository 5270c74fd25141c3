"""What the store raises.

StoreError
+-- CorruptBlobError   a stored blob fails its CRC or does not decode; the row is quarantined, never guessed
+-- StoreClosedError   something was handed to a store that is closed
+-- StoreInUseError    another process writes this store
"""

from __future__ import annotations

import sqlite3

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNWRITABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
    }
)
_PRIMARY = 0xFF
"""The low byte of an extended SQLite result code is its primary code."""


class StoreError(Exception):
    """Base of what the store raises."""


class CorruptBlobError(StoreError):
    """A stored blob fails its CRC or does not decode."""


class StoreClosedError(StoreError):
    """The store is closed; nothing more is taken."""


class StoreInUseError(StoreError):
    """Another process writes this store; the message names folder and process."""


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the file itself is damaged, so that it must be set aside."""
    return _primary_code(error) in _CORRUPT


def is_unwritable(error: sqlite3.Error) -> bool:
    """Whether the disk is full, read-only or failing: the file may be fine, writing is not."""
    return _primary_code(error) in _UNWRITABLE


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY
