"""One process writes a store: a second one would give out the same seq, and overwrite what the first has.

The lock belongs to the open file: the system lets it go however the process ends, kill -9 included.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from gateway.store.errors import StoreInUseError

NAME = "lock"


class FolderLock:
    """Held from its making to `release`."""

    def __init__(self, folder: Path) -> None:
        """Raises StoreInUseError when another process has it, OSError when the folder cannot be written."""
        self._file = (folder / NAME).open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read(32).decode(errors="replace").strip() or "unknown"
            self._file.close()
            raise StoreInUseError(f"{folder} is in use by another gateway (process {holder})") from None
        except BaseException:
            self._file.close()
            raise
        with suppress(OSError):  # the number only helps the reader: on a full disk the lock does without it
            self._file.truncate(0)
            self._file.write(b"%d\n" % os.getpid())

    def release(self) -> None:
        """Let the next one have it; harmless when that is done already."""
        self._file.close()
