"""What a request may come to, other than an answer.

RequestError
+-- NotConnected     there is no way to the peer, or the line cannot be opened
|   +-- Refused      the host is there, but nobody listens on the port
|   +-- Distrusted   one side does not accept the other's certificate
+-- NoAnswer         the unit stayed silent
|   +-- HungUp       the peer closed the connection meanwhile
+-- Garbled          bytes came that are no answer to this request
+-- ExceptionAnswer  the unit answered with a Modbus exception code
"""

from __future__ import annotations

from typing import ClassVar, Final

from drivers.base import Fault, FaultCode, Quality

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
_EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge, still working",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}
_BUSY: Final = (5, 6, 10, 11)


class RequestError(Exception):
    """Base: `fault` is the reason as data; `quality` what it makes of the points."""

    code: ClassVar[FaultCode] = FaultCode.NO_ANSWER

    @property
    def fault(self) -> Fault:
        return Fault(self.code, str(self))

    @property
    def quality(self) -> Quality:
        return Quality.COMM_LOST

    @property
    def ends_poll(self) -> bool:
        """Whether asking this device for more is pointless for now."""
        return True


class NotConnected(RequestError):  # noqa: N818 - reads as what it is at the raise
    code = FaultCode.NO_ANSWER


class Refused(NotConnected):
    code = FaultCode.REFUSED


class Distrusted(NotConnected):
    code = FaultCode.CERTIFICATE


class NoAnswer(RequestError):  # noqa: N818
    code = FaultCode.NO_ANSWER


class HungUp(NoAnswer):
    """Worth one more try when the connection was an old one: the device may have been restarted since."""


class Garbled(RequestError):  # noqa: N818
    code = FaultCode.GARBLED


class ExceptionAnswer(RequestError):  # noqa: N818
    """The unit refused: `exception` is the protocol's code."""

    def __init__(self, exception: int) -> None:
        name = _EXCEPTIONS.get(exception, "unknown")
        super().__init__(f"Modbus exception {exception} ({name})")
        self.exception = exception

    @property
    def fault(self) -> Fault:
        if self.exception == ILLEGAL_ADDRESS:
            return Fault(FaultCode.NO_SUCH_ADDRESS, str(self))
        return Fault(FaultCode.BUSY if self.exception in _BUSY else FaultCode.DEVICE_ERROR, str(self))

    @property
    def quality(self) -> Quality:
        return Quality.COMM_LOST if self.exception in _BUSY else Quality.FAULT

    @property
    def ends_poll(self) -> bool:
        return self.exception in _BUSY
