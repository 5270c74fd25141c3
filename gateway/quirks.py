"""What drivers learn of devices, kept in the catalogue: read at the start, written behind their backs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gateway.store.catalogue import Catalogue

KIND = "quirk"


class Quirks:
    """Implements `drivers.base.Memory`. Recalling costs nothing; learning never waits for the disk."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known = catalogue.notes(KIND)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="quirks")

    def recall(self, key: str) -> str | None:
        return self._known.get(key)

    def learn(self, key: str, value: str | None) -> None:
        if self._known.get(key) == value:
            return
        if value is None:
            self._known.pop(key, None)
        else:
            self._known[key] = value
        self._later(lambda: self._catalogue.set_note(KIND, key, value))

    def close(self) -> None:
        """Wait until everything learned is on disk."""
        self._writer.shutdown(wait=True)

    def _later(self, write: Callable[[], None]) -> None:
        self._writer.submit(write)
