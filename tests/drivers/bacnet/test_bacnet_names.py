"""Our names and numbers are those of the standard, as bacpypes3 has them."""

from __future__ import annotations

import pytest
from bacpypes3.basetypes import ErrorClass, ErrorCode, PropertyIdentifier
from bacpypes3.primitivedata import ObjectType

from drivers.bacnet.names import ABBREVIATIONS, OBJECT_TYPES, PROPERTIES, error_fault, error_words
from drivers.base import FaultCode


def test_object_types_have_the_numbers_of_the_standard():
    assert {name: int(ObjectType(name)) for name in OBJECT_TYPES} == OBJECT_TYPES


def test_properties_have_the_numbers_of_the_standard():
    assert {name: int(PropertyIdentifier(name)) for name in PROPERTIES} == PROPERTIES


def test_abbreviations_stand_for_known_types():
    assert set(ABBREVIATIONS.values()) <= OBJECT_TYPES.keys()


@pytest.mark.parametrize(
    ("error_class", "error_code", "fault"),
    [
        ("object", "unknown-object", FaultCode.NO_SUCH_OBJECT),
        ("property", "unknown-property", FaultCode.NO_SUCH_OBJECT),
        ("property", "read-access-denied", FaultCode.DENIED),
        ("device", "device-busy", FaultCode.BUSY),
        ("device", "operational-problem", FaultCode.DEVICE_ERROR),
    ],
)
def test_errors_have_a_meaning_and_words(error_class, error_code, fault):
    numbers = int(ErrorClass(error_class)), int(ErrorCode(error_code))
    assert error_fault(*numbers) is fault
    assert error_words(*numbers) == f"{error_class}: {error_code}"


def test_a_vendors_own_error_is_given_by_number():
    assert error_words(70, 300) == "class 70: code 300"
