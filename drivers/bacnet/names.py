"""BACnet's names and numbers (ASHRAE 135): object types, the numeric properties, and what errors mean.

Kept apart from the stack so that a configuration is checked without loading it.
"""

from __future__ import annotations

from difflib import get_close_matches

from drivers.base import FaultCode

OBJECT_TYPES: dict[str, int] = {
    "analog-input": 0,
    "analog-output": 1,
    "analog-value": 2,
    "binary-input": 3,
    "binary-output": 4,
    "binary-value": 5,
    "calendar": 6,
    "command": 7,
    "device": 8,
    "event-enrollment": 9,
    "file": 10,
    "group": 11,
    "loop": 12,
    "multi-state-input": 13,
    "multi-state-output": 14,
    "notification-class": 15,
    "program": 16,
    "schedule": 17,
    "averaging": 18,
    "multi-state-value": 19,
    "trend-log": 20,
    "life-safety-point": 21,
    "life-safety-zone": 22,
    "accumulator": 23,
    "pulse-converter": 24,
    "event-log": 25,
    "trend-log-multiple": 27,
    "load-control": 28,
    "structured-view": 29,
    "access-door": 30,
    "timer": 31,
    "integer-value": 45,
    "large-analog-value": 46,
    "positive-integer-value": 48,
    "channel": 53,
    "lighting-output": 54,
    "binary-lighting-output": 55,
    "network-port": 56,
    "elevator-group": 57,
    "staging": 60,
}

ABBREVIATIONS: dict[str, str] = {
    "ai": "analog-input",
    "ao": "analog-output",
    "av": "analog-value",
    "bi": "binary-input",
    "bo": "binary-output",
    "bv": "binary-value",
    "mi": "multi-state-input",
    "mo": "multi-state-output",
    "mv": "multi-state-value",
    "msi": "multi-state-input",
    "mso": "multi-state-output",
    "msv": "multi-state-value",
    "piv": "positive-integer-value",
    "iv": "integer-value",
    "lav": "large-analog-value",
}
"""As engineers write them in point lists (EDE files, controller pages)."""

PROPERTIES: dict[str, int] = {
    "alarm-value": 6,
    "change-of-state-count": 15,
    "controlled-variable-value": 21,
    "cov-increment": 22,
    "deadband": 25,
    "elapsed-active-time": 33,
    "event-state": 36,
    "feedback-value": 40,
    "high-limit": 45,
    "low-limit": 59,
    "manipulated-variable-reference": 60,
    "max-pres-value": 65,
    "min-pres-value": 69,
    "number-of-states": 74,
    "out-of-service": 81,
    "polarity": 84,
    "present-value": 85,
    "priority-array": 87,
    "reliability": 103,
    "relinquish-default": 104,
    "resolution": 106,
    "setpoint": 108,
    "status-flags": 111,
    "system-status": 112,
    "units": 117,
    "update-interval": 118,
    "average-value": 125,
    "maximum-value": 135,
    "minimum-value": 136,
    "record-count": 141,
    "tracking-value": 164,
    "pulse-rate": 186,
    "value-before-change": 190,
}

PRESENT_VALUE = PROPERTIES["present-value"]
STATUS_FLAGS = PROPERTIES["status-flags"]
PRIORITY_ARRAY = PROPERTIES["priority-array"]

MAX_INSTANCE = 4_194_302
"""4194303 is the wildcard of Who-Is and device lookups, never an object's own number."""

_ERRORS: dict[tuple[int, int], FaultCode] = {
    (1, 31): FaultCode.NO_SUCH_OBJECT,  # object, unknown-object
    (2, 32): FaultCode.NO_SUCH_OBJECT,  # property, unknown-property
    (2, 42): FaultCode.NO_SUCH_OBJECT,  # property, invalid-array-index
    (2, 50): FaultCode.NO_SUCH_OBJECT,  # property, property-is-not-an-array
    (2, 27): FaultCode.DENIED,  # property, read-access-denied
    (2, 40): FaultCode.DENIED,  # property, write-access-denied
    (2, 9): FaultCode.REFUSED,  # property, invalid-data-type
    (2, 37): FaultCode.REFUSED,  # property, value-out-of-range
    (5, 80): FaultCode.REFUSED,  # services, parameter-out-of-range
    (4, 26): FaultCode.DENIED,  # security, password-failure
}
_ERROR_CLASSES = ("device", "object", "property", "resources", "security", "services", "vt", "communication")
_ERROR_CODES: dict[int, str] = {
    3: "device-busy",
    9: "invalid-data-type",
    25: "operational-problem",
    27: "read-access-denied",
    31: "unknown-object",
    32: "unknown-property",
    37: "value-out-of-range",
    40: "write-access-denied",
    42: "invalid-array-index",
    43: "cov-subscription-failed",
    44: "not-cov-property",
    45: "optional-functionality-not-supported",
    50: "property-is-not-an-array",
    80: "parameter-out-of-range",
}


def object_type(text: str) -> int:
    """The number of an object type given by name, abbreviation or number; ValueError names the nearest."""
    name = text.strip().lower().replace("_", "-").replace(" ", "-")
    name = ABBREVIATIONS.get(name, name)
    if name in OBJECT_TYPES:
        return OBJECT_TYPES[name]
    if name.isascii() and name.isdigit() and int(name) <= 1023:
        return int(name)
    raise ValueError(f"object type {text.strip()!r} is unknown{_did_you_mean(name, OBJECT_TYPES)}")


def property_id(text: str) -> int:
    """The number of a property given by name or number; ValueError names the nearest."""
    name = text.strip().lower().replace("_", "-").replace(" ", "-")
    if name in PROPERTIES:
        return PROPERTIES[name]
    if name.isascii() and name.isdigit() and int(name) <= 4_194_303:
        return int(name)
    raise ValueError(f"property {text.strip()!r} is unknown{_did_you_mean(name, PROPERTIES)}")


def error_fault(error_class: int, error_code: int) -> FaultCode:
    """What a device's error means for the reader."""
    if error_code == 3:
        return FaultCode.BUSY
    return _ERRORS.get((error_class, error_code), FaultCode.DEVICE_ERROR)


def error_words(error_class: int, error_code: int) -> str:
    """An error as the standard names it, for the expert's details."""
    known = error_class < len(_ERROR_CLASSES)
    group = _ERROR_CLASSES[error_class] if known else f"class {error_class}"
    return f"{group}: {_ERROR_CODES.get(error_code, f'code {error_code}')}"


def _did_you_mean(name: str, known: dict[str, int]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
