"""The cloud side: one sender for each configured sink, and what they say of themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.clock import Clock
from gateway.site import SinkSettings
from gateway.status import SinkStatus
from gateway.store.store import Store
from sync.influx import InfluxSink, InfluxTarget
from sync.sender import Sender


class CloudSide:
    """All sinks. A sink whose settings change is stopped and started again with its progress kept."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._running: dict[str, tuple[SinkSettings, Sender]] = {}

    async def apply(self, sinks: Mapping[str, SinkSettings]) -> None:
        """Bring the senders to this configuration."""
        self._store.keep_for(sinks)
        for name, (settings, sender) in list(self._running.items()):
            if sinks.get(name) != settings:
                del self._running[name]
                await asyncio.to_thread(sender.stop)
            else:
                sender.tags_changed()
        for name, settings in sinks.items():
            if name not in self._running:
                sender = self._sender(settings)
                await asyncio.to_thread(sender.start)
                self._running[name] = (settings, sender)

    async def stop(self, drain_s: float = 0.0) -> None:
        """Stop all senders, giving them up to drain_s to send what was just committed."""
        senders = [sender for _, sender in self._running.values()]
        self._running.clear()
        await asyncio.gather(*(self._drain(sender, drain_s) for sender in senders))
        await asyncio.gather(*(asyncio.to_thread(sender.stop) for sender in senders))

    async def _drain(self, sender: Sender, patience_s: float) -> None:
        """Wait until the newest commit is sent; a server that is away is not waited for."""
        end = self._clock.monotonic() + patience_s
        newest = self._store.outbox.newest()
        while self._clock.monotonic() < end:
            status = sender.status()
            if not status.connected or not any(last >= newest for _, last in status.unsent):
                return
            await asyncio.sleep(0.05)

    def statuses(self) -> tuple[SinkStatus, ...]:
        """Every sink now."""
        return tuple(self._status(name, sender) for name, (_, sender) in self._running.items())

    def _sender(self, settings: SinkSettings) -> Sender:
        sink = InfluxSink(_target(settings))
        return Sender(
            self._store.outbox,
            sink,
            settings.name,
            settings.settle_s,
            self._clock.now_ns,
            batch_lines=settings.batch_lines,
        )

    def _status(self, name: str, sender: Sender) -> SinkStatus:
        status = sender.status()
        return SinkStatus(
            sink=name,
            connected=status.connected,
            since=status.since,
            backlog=self._store.outbox.rows_within(status.unsent),
            acknowledged=status.acknowledged,
            dead_letters=status.dead_letters,
            oldest_unsent=self._store.outbox.committed_at(status.unsent[0][0]) if status.unsent else 0,
            last_error=status.last_error,
            last_success=status.last_success,
        )


def _target(settings: SinkSettings) -> InfluxTarget:
    return InfluxTarget(
        url=settings.url,
        api="v1" if settings.api == "v1" else "v2",
        org=settings.org,
        bucket=settings.bucket,
        database=settings.database,
        username=settings.username,
        token=settings.token,
        password=settings.password,
        verify_tls=settings.verify_tls,
        ca=settings.ca,
        gzip=settings.gzip,
        timeout_s=settings.timeout_s,
    )
