"""The demo building on the wire: which device speaks what where, and all of it served by one process.

Templated meters are served from the gateway's own templates, so a demo that reads right proves only that
reading undoes serving; the golden frames of the templates prove the registers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import configs
from drivers import units
from drivers.bacnet.settings import PointSettings as BacnetPoint
from drivers.base import Now, Settings
from drivers.modbus.settings import PointSettings as ModbusPoint
from drivers.mqtt.settings import PointSettings as MqttPoint
from drivers.templates import load_template
from simulators.base import ServedPoint, ValueAt
from simulators.building import Building
from simulators.cloud import Receiver
from simulators.control import CONTROL_PORT, ControlServer
from simulators.faults import FaultBoard
from simulators.faulty_bacnet import FaultyBacnet
from simulators.faulty_cloud import FaultyCloud
from simulators.faulty_modbus import FaultyModbus
from simulators.faulty_mqtt import FaultyBroker, FaultySensors
from simulators.mqtt import Topic
from simulators.response import Response

LOOPBACK = "127.0.0.1"
TEMPLATES = Path(configs.__file__).parent / "templates"
SENSORS_EVERY_S = 10.0
BROKER = "mqtt"
CLOUD = "cloud"
CONTROL = "control"
SERVER_PORTS: Mapping[str, int] = {BROKER: 18830, CLOUD: 18086, CONTROL: CONTROL_PORT}


@dataclass(frozen=True, slots=True)
class WirePoint:
    """A point as a device serves it; unit is the device's."""

    name: str
    settings: Settings
    unit: str


@dataclass(frozen=True, slots=True)
class WireDevice:
    """A device of the demo. number: Modbus unit or BACnet instance. topic: MQTT only."""

    name: str
    protocol: str
    port: int
    number: int = 0
    template: str = ""
    inline: tuple[WirePoint, ...] = ()
    topic: str = ""

    def points(self) -> tuple[WirePoint, ...]:
        """The device's points; a template is read from its file. Raises TemplateError."""
        if not self.template:
            return self.inline
        template = load_template(TEMPLATES / f"{self.template}.yaml")
        return tuple(
            WirePoint(name, template.settings[name], str(keys["unit"]))
            for name, keys in template.points.items()
        )


def _modbus(name: str, unit: str, **settings: object) -> WirePoint:
    return WirePoint(name, ModbusPoint.model_validate(settings), unit)


def _bacnet(name: str, unit: str, place: str) -> WirePoint:
    return WirePoint(name, BacnetPoint.model_validate({"object": place}), unit)


def _zone(name: str, port: int, instance: int) -> WireDevice:
    return WireDevice(
        name,
        "bacnet",
        port,
        instance,
        inline=(
            _bacnet("temp", "degC", "analog-input,1"),
            _bacnet("setpoint", "degC", "analog-value,1"),
            _bacnet("valve", "%", "analog-output,1"),
            _bacnet("occupied", "1", "binary-input,1"),
        ),
    )


_ROOM_POINTS = tuple(
    WirePoint(name, MqttPoint.model_validate({"json": name}), unit)
    for name, unit in (("temperature", "degC"), ("co2", "ppm"), ("humidity", "%"), ("occupancy", "1"))
)
_DIGITS = {"temperature": 2, "co2": 0, "humidity": 1, "occupancy": 0}


def _room(name: str) -> WireDevice:
    return WireDevice(name, "mqtt", 18830, inline=_ROOM_POINTS, topic=f"building/{name}/state")


DEMO_WIRE: tuple[WireDevice, ...] = (
    WireDevice("main-meter", "modbus-tcp", 15021, 1, template="schneider/iem3155"),
    WireDevice("hvac-meter", "modbus-tcp", 15022, 1, template="abb/b23"),
    WireDevice("pv-meter", "modbus-tcp", 15023, 1, template="eastron/sdm630"),
    WireDevice(
        "water-meter",
        "modbus-tcp",
        15024,
        1,
        inline=(
            _modbus("volume", "m3", register=0, type="u32", scale=0.001),
            _modbus("flow", "m3/h", register=2, type="f32"),
        ),
    ),
    WireDevice(
        "gas-meter",
        "modbus-tcp",
        15025,
        1,
        inline=(_modbus("volume", "m3", register=10, type="u32", order="CDAB", scale=0.01),),
    ),
    WireDevice(
        "ahu-1",
        "bacnet",
        47821,
        1201,
        inline=(
            _bacnet("supply_temp", "degC", "analog-input,1"),
            _bacnet("return_temp", "degC", "analog-input,2"),
            _bacnet("supply_temp_sp", "degC", "analog-value,1"),
            _bacnet("fan_command", "1", "binary-value,1"),
            _bacnet("fan_speed", "%", "analog-output,1"),
        ),
    ),
    _zone("zone-1", 47822, 1301),
    _zone("zone-2", 47823, 1302),
    _zone("zone-3", 47824, 1303),
    WireDevice(
        "heat-pump",
        "bacnet",
        47825,
        1401,
        inline=(
            _bacnet("power", "kW", "analog-input,1"),
            _bacnet("leaving_water_temp", "degC", "analog-input,2"),
            _bacnet("running", "1", "binary-value,1"),
        ),
    ),
    _room("room-101"),
    _room("room-102"),
    _room("room-103"),
    _room("lobby"),
    WireDevice(
        "roof",
        "mqtt",
        18830,
        inline=(WirePoint("temperature", MqttPoint(), "degC"),),
        topic="building/roof/outdoor_temperature",
    ),
)


def resolve_ports(ports: Mapping[str, int] | None = None) -> dict[str, int]:
    """Port of every device that has its own, and of 'mqtt' (the broker), 'cloud' (the receiver), 'control'.

    Names that the wire does not know (the page's) are left out.
    """
    defaults = {device.name: device.port for device in DEMO_WIRE if device.protocol != "mqtt"} | dict(
        SERVER_PORTS
    )
    return {name: (ports or {}).get(name, port) for name, port in defaults.items()}


def wire_map(ports: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """Every point on the demo's wire, for people and scripts: one dictionary per point."""
    at = resolve_ports(ports)
    return [
        {
            "device": device.name,
            "protocol": device.protocol,
            "host": LOOPBACK,
            "port": at.get(device.name, at[BROKER]),
            **_number(device),
            "template": device.template,
            "point": point.name,
            "unit": point.unit,
            "address": point.settings.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        }
        for device in DEMO_WIRE
        for point in device.points()
    ]


def _number(device: WireDevice) -> dict[str, int | str]:
    if device.protocol == "mqtt":
        return {"topic": device.topic}
    return {"unit_id" if device.protocol == "modbus-tcp" else "device_instance": device.number}


def served_points(
    device: WireDevice, building: Building, response: Response | None = None
) -> list[ServedPoint]:
    """The device's points with their values from the building, in the device's units.

    response: what was written so far, which moves temperatures.
    """
    canonical = {(of, point): unit for of, point, _, unit, _ in building.points()}
    return [
        ServedPoint(
            point.name,
            point.settings,
            _in_unit(building, device.name, point, canonical[device.name, point.name], response),
            point.unit,
        )
        for point in device.points()
    ]


def _in_unit(
    building: Building, device: str, point: WirePoint, canonical: str, response: Response | None
) -> ValueAt:
    to_canonical = units.conversion(point.unit, canonical)

    def value_at(t_ns: int) -> float:
        value = building.value_at(device, point.name, t_ns)
        if response is not None:
            value += response.shift(device, point.name, t_ns)
        return (value - to_canonical.offset) / to_canonical.factor

    return value_at


def sensor_topics(building: Building, board: FaultBoard) -> list[tuple[Topic, list[str]]]:
    """What the MQTT sensors send under the faults that are on, and the names of their points."""
    return [_sensor(device, building, board) for device in DEMO_WIRE if device.protocol == "mqtt"]


def _sensor(device: WireDevice, building: Building, board: FaultBoard) -> tuple[Topic, list[str]]:
    values, names = {}, []
    for point in served_points(device, building):
        key = point.settings.json_path or "" if isinstance(point.settings, MqttPoint) else ""
        spoiled = board.spoiled(device.name, point, absent_is_nan=True)
        values[key] = (spoiled.value_at, _DIGITS[point.name])
        names.append(point.name)
    return Topic(device.topic, values, device.name), names


class _Server(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outside:
    """What runs outside the gateway, for whoever wants to look at it or to break it."""

    receiver: Receiver
    board: FaultBoard


@asynccontextmanager
async def serve(
    building: Building, ports: Mapping[str, int], folder: Path, now: Now, seed: int = 0
) -> AsyncIterator[Outside]:
    """Everything outside the gateway, listening: devices, broker, sensors, receiver, control port.

    folder: where the receiver keeps what it receives. seed: of the faults that strike by chance. Raises
    OSError when a port is taken, MissingBroker.
    """
    at = resolve_ports(ports)
    outside = Outside(Receiver(LOOPBACK, at[CLOUD], folder), FaultBoard(now, seed))
    async with AsyncExitStack() as stack:
        for server in _servers(building, at, now, outside):
            await server.start()
            stack.push_async_callback(server.stop)
        stack.push_async_callback(outside.board.close)
        yield outside


def _servers(building: Building, at: Mapping[str, int], now: Now, outside: Outside) -> Sequence[_Server]:
    """In the order of their start; the sensors stop before their broker."""
    board = outside.board
    FaultyCloud(board, CLOUD, outside.receiver)
    topics = sensor_topics(building, board)
    broker = FaultyBroker(board, BROKER, LOOPBACK, at[BROKER])
    sensors = FaultySensors(board, LOOPBACK, at[BROKER], topics, now, SENSORS_EVERY_S)
    broker.floods(sensors.publisher, [topic for topic, _ in topics])
    wired = [device for device in DEMO_WIRE if device.protocol != "mqtt"]
    response = Response(building.value_at)
    return [
        ControlServer(LOOPBACK, at[CONTROL], board),
        outside.receiver,
        *(_field_server(device, building, at, now, board, response) for device in wired),
        broker,
        sensors,
    ]


def _field_server(
    device: WireDevice,
    building: Building,
    at: Mapping[str, int],
    now: Now,
    board: FaultBoard,
    response: Response,
) -> _Server:
    points, port = served_points(device, building, response), at[device.name]
    if device.protocol == "modbus-tcp":
        return FaultyModbus(board, LOOPBACK, port, {device.number: (device.name, points)}, now)

    def written(point: str, value: float | None) -> None:
        response.write(device.name, point, value, now())

    return FaultyBacnet(board, LOOPBACK, port, device.number, device.name, points, now, written)
