"""One poll being put together: answers arrive request by request, rows of the result are filled in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from drivers.bacnet.codec import Answer, State
from drivers.bacnet.names import error_fault, error_words
from drivers.bacnet.plan import ReadRequest
from drivers.base import Batch, Fault, FaultCode, Now, PollGroup, PollResult, Quality

FLAG_FAULT = 0x40
FLAGS_OVERRIDDEN = 0x30
"""Status flags, first octet: in-alarm 0x80, fault 0x40, overridden 0x20, out-of-service 0x10."""

_QUALITY: dict[FaultCode, Quality] = {
    FaultCode.NO_ANSWER: Quality.COMM_LOST,
    FaultCode.GARBLED: Quality.COMM_LOST,
    FaultCode.BUSY: Quality.COMM_LOST,
    FaultCode.NO_SUCH_OBJECT: Quality.NOT_AVAILABLE,
    FaultCode.DENIED: Quality.NOT_AVAILABLE,
    FaultCode.REFUSED: Quality.NOT_AVAILABLE,
    FaultCode.BAD_PAYLOAD: Quality.BAD_VALUE,
}
_STATE_FAULTS: dict[int, Fault] = {
    State.NULL: Fault(FaultCode.BAD_PAYLOAD, "the device sent Null: it has no value"),
    State.NOT_A_NUMBER: Fault(FaultCode.BAD_PAYLOAD, "the property is no number (text, date or list)"),
    State.MISSING: Fault(FaultCode.GARBLED, "the answer leaves this property out"),
}
_FLAGGED = Fault(FaultCode.DEVICE_ERROR, "the object's status flags say fault")
_NOT_FINITE = Fault(FaultCode.BAD_PAYLOAD, "the device sent NaN or infinity")


def quality_of(fault: Fault) -> Quality:
    """The quality of a point that has no value because of `fault`."""
    return _QUALITY.get(fault.code, Quality.FAULT)


def flag_quality(flags: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Qualities from status flags; NaN (no flags came) is good."""
    bits = np.where(np.isnan(flags), 0, flags).astype(np.uint8)
    quality = np.where(bits & FLAGS_OVERRIDDEN, np.uint8(Quality.OVERRIDDEN), np.uint8(Quality.GOOD))
    return np.where(bits & FLAG_FAULT, np.uint8(Quality.FAULT), quality).astype(np.uint8)


class Reading:
    """The columns of one poll, every row not available until something comes for it."""

    def __init__(self, group: PollGroup, now: Now) -> None:
        size = len(group.points)
        self.answered = False
        self.silence: Fault | None = None
        self._now = now
        self._series = np.array([point.series for point in group.points], np.int32)
        self._time = np.full(size, now(), np.int64)
        self._value = np.full(size, np.nan)
        self._quality = np.full(size, int(Quality.COMM_LOST), np.uint8)
        self._faults: dict[int, Fault] = {}
        self._raw: dict[int, str] = {}

    def take(self, request: ReadRequest, answer: Answer) -> None:
        """Fill the rows of a request with its answer."""
        self.answered = True
        rows, places = request.rows, request.values
        value, state = answer.value[places], answer.state[places]
        flags = np.where(request.flags >= 0, answer.value[request.flags], np.nan)
        quality = flag_quality(flags)
        good = (state == State.VALUE) & np.isfinite(value)
        self._time[rows] = self._now()
        self._value[rows] = np.where(good & (quality < Quality.COMM_LOST), value, np.nan)
        self._quality[rows] = quality
        for at in np.flatnonzero(~good).tolist():
            self._refuse(int(rows[at]), _point_fault(answer.errors, int(places[at]), int(state[at])))
        for at in np.flatnonzero(good & (quality >= Quality.COMM_LOST)).tolist():
            self._refuse(int(rows[at]), _FLAGGED)
        for at, place in enumerate(places.tolist() if answer.raw else ()):
            self._raw[int(self._series[rows[at]])] = answer.raw.get(place, "")

    def refuse(self, request: ReadRequest, fault: Fault) -> None:
        """No value for any point of a request. Silence is remembered: the rest of the poll is not asked."""
        if fault.code is FaultCode.NO_ANSWER:
            self.silence = fault
        else:
            self.answered = True
        self._time[request.rows] = self._now()
        for row in request.rows.tolist():
            self._refuse(row, fault)

    def refused(self, codes: frozenset[FaultCode]) -> set[int]:
        """Series that were refused for one of `codes`."""
        return {series for series, fault in self._faults.items() if fault.code in codes}

    def result(self, latency_s: float) -> PollResult:
        """The poll's result; the device as a whole is at fault when nothing answered."""
        batch = Batch(self._series, self._time, self._value, self._quality)
        if not self.answered and self.silence:
            return PollResult(batch, latency_s, self.silence)
        if self.silence:  # some requests were never sent: their points have no value for the same reason
            for row in np.flatnonzero(self._quality == Quality.COMM_LOST).tolist():
                self._faults.setdefault(int(self._series[row]), self.silence)
        return PollResult(batch, latency_s, None, self._faults, self._raw)

    def _refuse(self, row: int, fault: Fault) -> None:
        self._value[row] = np.nan
        self._quality[row] = int(quality_of(fault))
        self._faults[int(self._series[row])] = fault


def _point_fault(errors: Mapping[int, tuple[int, int]], place: int, state: int) -> Fault:
    if state == State.ERROR:
        return Fault(error_fault(*errors[place]), error_words(*errors[place]))
    return _STATE_FAULTS.get(state, _NOT_FINITE)
