"""paho's client in its own thread: connect, subscribe, hand messages to the inbox, acknowledge.

Everything called from the network thread is wrapped: an exception there would end the thread without a word.
"""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from drivers.base import Fault, FaultCode, LinkError, Now
from drivers.mqtt.inbox import Inbox, Message
from drivers.mqtt.settings import LinkSettings, TlsSettings

log = logging.getLogger(__name__)

ONLINE, OFFLINE = "online", "offline"
_LEAVE_S = 1.0
"""How long leaving may take for the word that we leave."""
_FILTERS_PER_PACKET = 100
_PACKET_OVERHEAD = 70_000
"""Bytes of a PUBLISH beside its payload, at most: the topic and some properties."""
_RECEIVE_MAXIMUM = 5000
"""Messages a version 5 broker may have under way to us unacknowledged; half of what the inbox holds."""
_DENIED = ("not authorized", "bad user name or password", "banned", "bad authentication method")


class Session:
    """One broker session.

    on_link: called from the network thread with None when connected, else with why not.
    """

    def __init__(
        self,
        link: str,
        settings: LinkSettings,
        now: Now,
        inbox: Inbox,
        on_link: Callable[[Fault | None], None],
    ) -> None:
        self._link = link
        self._settings = settings
        self._now = now
        self._inbox = inbox
        self._on_link = on_link
        self._number = 0
        self._up = False
        self._filters: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._asked: dict[int, Sequence[str]] = {}
        self.refused: dict[str, str] = {}
        """Filters that the broker did not grant, and its reason."""
        self._client = self._make_client()

    def start(self) -> None:
        """Connect in the background, and again whenever the connection is lost."""
        host, port = self._settings.endpoint
        options: dict[str, Any] = {}
        if self._settings.version == "5":
            options = {"clean_start": not self._settings.persistent, "properties": self._properties()}
        self._client.connect_async(host, port, round(self._settings.keepalive), **options)
        self._client.loop_start()

    def stop(self) -> None:
        """Leave the broker and end the thread; blocks for up to a connection attempt."""
        client = self._client
        if self._settings.status_topic is not None and client.is_connected():
            # A clean leave sends no Last Will, so it is said.
            with suppress(ValueError, RuntimeError):
                client.publish(self._settings.status_topic, OFFLINE, 1, retain=True).wait_for_publish(
                    _LEAVE_S
                )
        client.disconnect()
        client.loop_stop()
        # Without the way back to us paho's client is freed, and its sockets closed, as soon as we are.
        client.on_connect = client.on_connect_fail = client.on_disconnect = None
        client.on_subscribe = client.on_message = None

    def use(self, filters: Sequence[str]) -> None:
        """Subscribe to exactly these filters; those that stay are not touched."""
        with self._lock:
            old, self._filters = self._filters, tuple(filters)
            self.refused = {name: why for name, why in self.refused.items() if name in self._filters}
        if self._client.is_connected():
            self._subscribe([name for name in filters if name not in old])
            self.unsubscribe([name for name in old if name not in filters])

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Ask the broker for no more of these."""
        for part in _chunks(filters, _FILTERS_PER_PACKET):
            self._client.unsubscribe(part)

    def publish(self, topic: str, payload: bytes | str, qos: int = 0, *, retain: bool = False) -> bool:
        """Send a message if the broker is there; what cannot be sent now is not kept (False)."""
        if not self._client.is_connected():
            return False
        return self._client.publish(topic, payload, qos, retain).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def acknowledge(self, messages: Iterable[tuple[int, int]]) -> None:
        """Acknowledge (session, mid) pairs. Those of an earlier connection are void: they are sent again."""
        for number, mid in messages:
            if number == self._number:
                self._client.ack(mid, 1)

    def _make_client(self) -> Client:
        settings = self._settings
        five = settings.version == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id or f"heyzack-{socket.gethostname()}-{self._link}",
            clean_session=None if five else not settings.persistent,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        if settings.username is not None:
            password = settings.password
            client.username_pw_set(
                settings.username, None if password is None else password.get_secret_value()
            )
        if settings.tls is not None:
            client.tls_set_context(_tls_context(settings.tls))
        if settings.status_topic is not None:
            client.will_set(settings.status_topic, OFFLINE, 1, retain=True)
        client.connect_timeout = settings.connect_timeout
        client.reconnect_delay_set(1, max(1, round(settings.reconnect_max)))
        client.suppress_exceptions = True
        client.on_connect = self._connected
        client.on_connect_fail = self._connect_failed
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        return client

    def _properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = round(
            self._settings.session_expiry if self._settings.persistent else 0
        )
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM
        properties.MaximumPacketSize = self._settings.max_payload + _PACKET_OVERHEAD
        return properties

    def _subscribe(self, filters: Sequence[str]) -> None:
        for part in _chunks(filters, _FILTERS_PER_PACKET):
            with self._lock:
                _, mid = self._client.subscribe([(name, int(self._settings.qos)) for name in part])
                if mid is not None:
                    self._asked[mid] = part

    # From here on: the network thread.

    def _connected(
        self, client: Client, userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        if reason.is_failure:
            self._on_link(Fault(_refusal(reason), f"broker {self._where()}: {reason}"))
            return
        self._number += 1
        self._up = True
        with self._lock:
            self._asked.clear()
            self.refused = {}
        self._subscribe(self._filters)
        if self._settings.status_topic is not None:
            client.publish(self._settings.status_topic, ONLINE, 1, retain=True)
        log.info(
            "%s: connected to %s%s", self._link, self._where(), ", session resumed" * flags.session_present
        )
        self._on_link(None)

    def _connect_failed(self, client: Client, userdata: object) -> None:
        error = sys.exc_info()[1]
        code = FaultCode.NO_ANSWER
        if isinstance(error, ssl.SSLError):
            code = FaultCode.CERTIFICATE
        elif isinstance(error, ConnectionRefusedError):
            code = FaultCode.REFUSED
        self._on_link(Fault(code, f"broker {self._where()}: {error}"))

    def _disconnected(
        self, client: Client, userdata: object, flags: DisconnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        if self._up and reason.is_failure:
            self._up = False
            self._on_link(Fault(FaultCode.NO_ANSWER, f"broker {self._where()}: connection lost ({reason})"))

    def _subscribed(
        self, client: Client, userdata: object, mid: int, reasons: list[ReasonCode], properties: object
    ) -> None:
        with self._lock:
            filters = self._asked.pop(mid, ())
            refused = {name: str(why) for name, why in zip(filters, reasons, strict=False) if why.is_failure}
            self.refused = {**self.refused, **refused}
        for name, why in refused.items():
            log.error("%s: the broker refuses the subscription to %s: %s", self._link, name, why)

    def _received(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        try:
            size = len(message.payload)
            payload = bytes(message.payload) if size <= self._settings.max_payload else None
            self._inbox.put(
                Message(
                    message.topic,
                    payload,
                    size,
                    message.qos,
                    message.mid,
                    message.retain,
                    self._now(),
                    self._number,
                )
            )
        except UnicodeDecodeError:
            # A topic that is no UTF-8 breaks the protocol; acknowledged, else it would come for ever.
            self._client.ack(message.mid, message.qos)
        except Exception:
            log.exception("%s: a message could not be taken", self._link)

    def _where(self) -> str:
        host, port = self._settings.endpoint
        return f"{host}:{port}"


def _tls_context(tls: TlsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise LinkError(f"tls: ca, cert or key cannot be used: {error}") from error
    return context


def _refusal(reason: ReasonCode) -> FaultCode:
    return FaultCode.DENIED if str(reason).lower() in _DENIED else FaultCode.REFUSED


def _chunks(names: Sequence[str], size: int) -> Iterable[list[str]]:
    return (list(names[start : start + size]) for start in range(0, len(names), size))
