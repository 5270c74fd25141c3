"""Settings: what a configuration may write, and what it is told when it writes something else."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from drivers.modbus.settings import (
    DeviceSettings,
    PointSettings,
    RtuLinkSettings,
    Table,
    TcpLinkSettings,
    modicon,
)
from drivers.modbus.types import RegisterType, WordOrder


def point(**keys: object) -> PointSettings:
    return PointSettings.model_validate(keys)


@pytest.mark.parametrize(
    ("address", "table", "start"),
    [
        (40001, Table.HOLDING, 0),
        (403060, Table.HOLDING, 3059),
        (465536, Table.HOLDING, 65535),
        (30001, Table.INPUT, 0),
        (10017, Table.DISCRETE, 16),
        ("00001", Table.COIL, 0),
    ],
)
def test_a_modicon_address_names_table_and_zero_based_register(
    address: int | str, table: Table, start: int
) -> None:
    assert modicon(address) == (table, start)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({}, "exactly one of 'register' .* and 'address'"),
        ({"register": 0, "address": 40001}, "exactly one of 'register' .* and 'address'"),
        ({"address": 17}, "not five or six digits"),
        ({"address": 20001}, "begins with 2"),
        ({"address": 40000}, "count from 1"),
        ({"address": 40001, "table": "input"}, "lies in table holding, not input"),
        ({"register": 0, "type": "uint32"}, "did you mean 'u32'"),
        ({"register": 0, "type": "f23"}, "did you mean 'f32'"),
        ({"register": 0, "order": "CDBA"}, "word order 'CDBA' is unknown; did you mean"),
        ({"register": 0, "table": "hodling"}, "did you mean 'holding'"),
        ({"register": 0, "type": "bit"}, "bit: 3"),
        ({"register": 0, "type": "u16", "bit": 3}, "needs type 'bit'"),
        ({"register": 0, "table": "coil", "type": "u16"}, "holds one bit"),
        ({"register": 0, "scale": 0}, "scale is 0"),
        ({"register": 65535, "type": "f32"}, "ends beyond 65535"),
        ({"register": 70000}, "less than or equal to 65535"),
        ({"register": 0, "units": "V"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_remedy(keys: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        point(**keys)


def test_a_plain_register_is_an_unsigned_word_of_the_holding_table() -> None:
    plain = point(register=7)
    assert (plain.space, plain.start, plain.decoded_type, plain.words) == (
        Table.HOLDING,
        7,
        RegisterType.U16,
        1,
    )


def test_a_coil_needs_no_type() -> None:
    assert point(register=7, table="coil").decoded_type is RegisterType.BIT


@pytest.mark.parametrize(
    ("written", "order"),
    [("cdab", WordOrder.CDAB), ("AB", WordOrder.ABCD), ("BA", WordOrder.BADC), ("HGFEDCBA", WordOrder.DCBA)],
)
def test_word_orders_may_be_written_for_their_width(written: str, order: WordOrder) -> None:
    assert point(register=0, type="u64", order=written).order is order


@pytest.mark.parametrize(
    ("written", "seconds"), [(2, 2.0), ("500ms", 0.5), ("10s", 10.0), ("1.5 min", 90.0), ("3", 3.0)]
)
def test_durations_are_seconds_or_carry_their_unit(written: object, seconds: float) -> None:
    assert TcpLinkSettings.model_validate({"host": "h", "timeout": written}).timeout == seconds


@pytest.mark.parametrize("written", ["soon", "10 parsec", "-1s", 0])
def test_a_timeout_that_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        TcpLinkSettings.model_validate({"host": "h", "timeout": written})


def test_a_tcp_link_does_not_pipeline_unless_asked() -> None:
    assert TcpLinkSettings(host="h").max_in_flight == 1


def test_a_parity_letter_is_answered_with_its_word() -> None:
    with pytest.raises(ValidationError, match="did you mean 'even'"):
        RtuLinkSettings.model_validate({"port": "/dev/ttyUSB0", "parity": "E"})


@pytest.mark.parametrize("keys", [{"unit_id": 256}, {"max_registers": 126}, {"max_registers": 0}])
def test_a_device_stays_within_the_protocol(keys: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        DeviceSettings.model_validate(keys)
