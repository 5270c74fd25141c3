"""A file that is there to be deleted: on a full disk even DELETE and a checkpoint need room first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LARGEST = 16 << 20
_SMALLEST = 64 << 10
_SHARE = 16


class Ballast:
    """At most 16 MiB, at most a 16th of what the store may take."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self.size = min(_LARGEST, max_bytes // _SHARE)

    @property
    def is_there(self) -> bool:
        return self._path.exists()

    def drop(self) -> bool:
        """Give its room back; whether there was any."""
        with suppress(OSError):
            self._path.unlink()
            return True
        return False

    def take(self) -> None:
        """Take the room again, at most a quarter of what is free; quietly does nothing where little is."""
        if self.is_there:
            return
        try:
            size = min(self.size, free_bytes(self._path.parent) // 4)
            if size < _SMALLEST:
                return
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            self.drop()


def free_bytes(folder: Path) -> int:
    """What the disk has left for us [bytes]."""
    figures = os.statvfs(folder)
    return figures.f_bavail * figures.f_frsize
