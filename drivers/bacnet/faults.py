"""What a refusal of the stack means: a fault in our words, and whether asking differently would help."""

from __future__ import annotations

from typing import Any

from bacpypes3.apdu import AbortPDU, AbortReason, ErrorPDU, RejectPDU, RejectReason

from drivers.bacnet.names import error_fault, error_words
from drivers.base import Fault, FaultCode

_TOO_BIG = {AbortReason.bufferOverflow, AbortReason.segmentationNotSupported, AbortReason.apduTooLong}
_TOO_MANY = {RejectReason.bufferOverflow, RejectReason.tooManyArguments}


def fault_of(refusal: Any) -> Fault:
    """The fault behind an error, reject or abort."""
    if isinstance(refusal, ErrorPDU):
        group, code = int(refusal.errorClass), int(refusal.errorCode)
        return Fault(error_fault(group, code), error_words(group, code))
    if isinstance(refusal, RejectPDU):
        return Fault(FaultCode.REFUSED, f"reject: {refusal.apduAbortRejectReason}")
    if is_silence(refusal):
        return Fault(FaultCode.NO_ANSWER, "no answer within the time-out and its retries")
    busy = refusal.apduAbortRejectReason == AbortReason.outOfResources
    return Fault(
        FaultCode.BUSY if busy else FaultCode.DEVICE_ERROR, f"abort: {refusal.apduAbortRejectReason}"
    )


def is_silence(refusal: Any) -> bool:
    """The device did not answer at all."""
    return isinstance(refusal, AbortPDU) and refusal.apduAbortRejectReason == AbortReason.noResponse


def is_too_big(refusal: Any) -> bool:
    """The answer does not fit what the device can send: ask for less at once."""
    if isinstance(refusal, RejectPDU):
        return refusal.apduAbortRejectReason in _TOO_MANY
    return isinstance(refusal, AbortPDU) and refusal.apduAbortRejectReason in _TOO_BIG


def knows_no_service(refusal: Any) -> bool:
    """The device does not have the service it was asked for."""
    return (
        isinstance(refusal, RejectPDU) and refusal.apduAbortRejectReason == RejectReason.unrecognizedService
    )
