"""What a unit says of itself, over real sockets: function 43/14 and SunSpec."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest

from drivers.base import Device, Point, PollGroup, Quality
from drivers.modbus.discovery import Description, describe
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.settings import DeviceSettings, PointSettings, TcpLinkSettings
from drivers.modbus.sunspec import Model
from simulators.base import ServedPoint
from simulators.modbus import ModbusServer
from simulators.modbus_frames import Framer
from tests.drivers.modbus.simulated_meter import discard, settings

NAMES = {0: "Acme", 1: "EM-3", 2: "V2.10", 4: "Energy meter", 5: "EM 300 DIN"}
Serve = Callable[..., Awaitable[TcpLinkSettings]]


def text(value: str, words: int) -> list[int]:
    return list(struct.unpack(f">{words}H", value.encode().ljust(2 * words, b"\0")))


def common() -> list[int]:
    return [1, 66, *text("SunMaker", 16), *text("SM-103", 16), *text("", 8), *text("1.4", 8),
            *text("SN00042", 16), 1, 0x8000]  # fmt: skip


def meter_203() -> list[int]:
    """Totals: 230.1 V at L1, 12.3 A, 50.02 Hz, -4.5 kW, 12,345,600 Wh in, 700 Wh out."""
    model = [0x8000] * 107
    model[0:2] = [203, 105]
    model[3], model[6] = 123, 0xFFFF
    model[8], model[15] = 2301, 0xFFFF
    model[16], model[17] = 5002, 0xFFFE
    model[18], model[22] = 0xFFD3, 2
    model[38:40], model[46:48], model[54] = [0, 7], [1, 57920], 2
    return model


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """serve(registers, at, identity, framer): a unit with these holding registers from `at`."""
    servers: list[ModbusServer] = []

    async def start(
        registers: list[int],
        at: int = 40000,
        identity: Mapping[int, str] | None = None,
        framer: Framer = "socket",
    ) -> TcpLinkSettings:
        points = [
            ServedPoint(f"r{n}", settings(register=at + n), lambda _, word=word: float(word))  # type: ignore[misc]
            for n, word in enumerate(registers)
        ]
        identities = {1: identity} if identity else None
        server = ModbusServer("127.0.0.1", 0, {1: points}, time.time_ns, identities=identities, framer=framer)
        await server.start()
        servers.append(server)
        return TcpLinkSettings(host="127.0.0.1", port=server.port, framer=framer, timeout=0.3)

    yield start
    for server in servers:
        await server.stop()


SUNSPEC = [*text("SunS", 2), *common(), *meter_203(), 0xFFFF, 0]


@pytest.mark.parametrize("framer", ["socket", "rtu"])
async def test_a_unit_tells_its_maker_and_model(serve: Serve, framer: Framer) -> None:
    found = await describe(await serve([7], at=0, identity=NAMES, framer=framer), 1)
    assert (found.manufacturer, found.model, found.version) == ("Acme", "EM 300 DIN", "V2.10")
    assert found.objects == NAMES
    assert found.models == ()


async def test_an_identity_longer_than_a_frame_is_read_in_several(serve: Serve) -> None:
    names = NAMES | {number: f"object {number} " * 9 for number in range(0x80, 0x86)}
    found = await describe(await serve([7], at=0, identity=names), 1)
    assert found.objects == {number: name.strip() for number, name in names.items()}


async def test_a_unit_that_says_nothing_is_left_empty(serve: Serve) -> None:
    assert await describe(await serve([7], at=0), 1) == Description()


@pytest.mark.parametrize("base", [40000, 50000, 0])
async def test_sunspec_is_found_wherever_it_may_begin(serve: Serve, base: int) -> None:
    found = await describe(await serve(SUNSPEC, at=base), 1)
    assert found.models == (Model(1, base + 2, 66), Model(203, base + 70, 105))
    assert (found.manufacturer, found.model, found.version, found.serial) == (
        "SunMaker", "SM-103", "1.4", "SN00042",
    )  # fmt: skip


async def test_a_list_that_just_ends_is_a_list(serve: Serve) -> None:
    found = await describe(await serve(SUNSPEC[:-2]), 1)
    assert [model.id for model in found.models] == [1, 203]


async def test_a_model_that_nobody_knows_is_passed_over(serve: Serve) -> None:
    registers = [*text("SunS", 2), *common(), 64999, 3, 1, 2, 3, *meter_203(), 0xFFFF, 0]
    found = await describe(await serve(registers), 1)
    assert [model.id for model in found.models] == [1, 64999, 203]
    assert found.points["power"]["register"] == 40000 + 75 + 18


async def test_a_sunspec_meter_is_polled_by_its_own_description(serve: Serve) -> None:
    """From nothing but the address: the points, their scale factors and their values."""
    link = await serve(SUNSPEC)
    found = await describe(link, 1)
    values, quality = await polled(link, found)
    assert not quality.any()
    assert values == pytest.approx(
        {
            "voltage_l1": 230.1, "current_l1": 12.3, "frequency": 50.02, "power": -4500.0,
            "energy_import": 12_345_600.0, "energy_export": 700.0,
        }
    )  # fmt: skip


async def test_what_a_sunspec_meter_does_not_measure_is_not_available(serve: Serve) -> None:
    registers = SUNSPEC.copy()
    registers[70 + 8] = 0x8000
    link = await serve(registers)
    found = await describe(link, 1)
    _, quality = await polled(link, found)
    assert quality[list(found.points).index("voltage_l1")] == Quality.NOT_AVAILABLE
    assert (quality > 0).sum() == 1


async def test_a_second_inverter_in_one_unit_has_names_of_its_own(serve: Serve) -> None:
    registers = [*text("SunS", 2), *common(), *meter_203(), *meter_203(), 0xFFFF, 0]
    found = await describe(await serve(registers), 1)
    assert {"power", "power_2", "energy_import_2"} <= found.points.keys()


async def test_energies_count_without_a_modulus_that_depends_on_the_devices_factor(serve: Serve) -> None:
    found = await describe(await serve(SUNSPEC), 1)
    assert found.points["energy_import"]["kind"] == "counter"
    assert "modulus" not in found.points["energy_import"]


async def polled(link: TcpLinkSettings, found: Description) -> tuple[dict[str, float], object]:
    own = {
        name: PointSettings.model_validate({k: v for k, v in keys.items() if k in DRIVER_KEYS})
        for name, keys in found.points.items()
    }
    points = tuple(Point(n, "m", name, place, "", "", "") for n, (name, place) in enumerate(own.items()))
    group = PollGroup("m", 1.0, points)
    driver = ModbusDriver(link, time.time_ns)
    await driver.open(discard)
    await driver.assign([Device("m", DeviceSettings(), (group,))])
    result = await driver.poll(group)
    await driver.close()
    return dict(zip(own, result.batch.value.tolist(), strict=True)), result.batch.quality


DRIVER_KEYS = {field.alias or name for name, field in PointSettings.model_fields.items()}
