"""What others were told of the gateway's figures: sends what changed, and all again when asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.base import Figure
from drivers.mqtt.homeassistant import Publication, configuration, removal, state
from drivers.mqtt.settings import HomeAssistantSettings


class Announcer:
    """send: publishes one retained message; False when the broker is not there, then it is sent later."""

    def __init__(
        self, settings: HomeAssistantSettings, status: str | None, send: Callable[[Publication], bool]
    ) -> None:
        self._settings = settings
        self._status = status
        self._send = send
        self._figures: tuple[Figure, ...] = ()
        self._sent: dict[str, bytes] = {}
        self._keys: set[str] = set()

    @property
    def birth_topic(self) -> str:
        """Where Home Assistant says 'online' when it starts and has to be told everything again."""
        return f"{self._settings.prefix}/status"

    def publish(self, figures: Sequence[Figure]) -> int:
        """Take these as all the figures there are and send what is new; how many messages that was."""
        self._figures = tuple(figures)
        return self._send_news()

    def again(self) -> int:
        """Send everything: the broker or Home Assistant started anew."""
        self._sent.clear()
        return self._send_news()

    def _send_news(self) -> int:
        own = self._settings
        keys = {figure.key for figure in self._figures}
        wanted = [removal(key, own.site, own.prefix) for key in sorted(self._keys - keys)]
        for figure in self._figures:
            wanted.append(configuration(figure, own.site, own.name or own.site, own.prefix, self._status))
            wanted.append(state(figure, own.site))
        news = [one for one in wanted if self._sent.get(one.topic) != one.payload]
        sent = 0
        for one in news:
            if not self._send(one):
                return sent
            self._sent[one.topic] = one.payload
            sent += 1
        self._keys = keys
        return sent
