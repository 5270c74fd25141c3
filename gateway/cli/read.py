"""`heyzack read`: one point, or raw registers with every plausible decode."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option, duration_type
from gateway.cli.tables import number, table

if TYPE_CHECKING:
    from gateway.cli.registers import Registers
    from gateway.installer.decodes import Decode

AROUND = 5
"""Registers read after the one asked for: the next address and the longest type."""


class _PointFirst(click.Group):
    """`read DEVICE/POINT` without a word in between; `read modbus ...` beside it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["point", *args]
        return super().parse_args(ctx, args)


@click.group("read", cls=_PointFirst)
def command() -> None:
    """Read a point (`read DEVICE/POINT`) or raw registers (`read modbus HOST --register N`)."""


@command.command("point")
@click.argument("points", nargs=-1, required=True, metavar="DEVICE/POINT...")
@config_option
@click.option(
    "--wait", "wait_s", type=duration_type, help="The longest wait for a device that sends by itself."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON list of readings.")
def read_point(points: tuple[str, ...], config: Path, wait_s: float | None, as_json: bool) -> None:
    """Read points directly from their devices. Exit code 1 when one of them is bad."""
    installation = load_or_exit(config)
    from gateway.cli.probing import find_points, read_points

    known = find_points(installation)
    for name in points:
        if name not in known:
            from gateway.config.errors import suggest

            hint = suggest(name, known, "points are")
            raise click.UsageError(f"point '{name}' is unknown; {hint}")
    readings = read_points(installation, [known[name] for name in dict.fromkeys(points)], wait_s)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(reading) for reading in readings], indent=2))
    else:
        for reading in readings:
            said = (
                f"device says {number(reading.device_value)} {reading.source_unit}; raw {reading.raw or '-'}"
            )
            why = f"; {reading.fault} {reading.detail}".rstrip() if reading.fault else ""
            click.echo(
                f"{reading.device}/{reading.point} = {number(reading.value)} {reading.unit} "
                f"({reading.quality}{why}; {said})"
            )
    raise SystemExit(0 if all(reading.good for reading in readings) else 1)


@command.command("modbus")
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--unit", "unit_id", type=click.IntRange(0, 255), default=1, show_default=True, help="Unit id.")
@click.option("--register", "register", type=click.IntRange(0, 65535), required=True, help="Zero-based.")
@click.option(
    "--count", type=click.IntRange(1, 120), default=1, show_default=True, help="Registers to decode from."
)
@click.option(
    "--table", "space", type=click.Choice(["holding", "input"]), default="holding", show_default=True
)
@click.option("--hint", help="What it is: power, energy, voltage, temperature, or any quantity.")
@click.option("--hint-unit", help="The unit in which the device says it, when known (Wh).")
@click.option(
    "--again", type=duration_type, help="Read once more after so long: counters creep, errors jump."
)
@click.option("--best", type=click.IntRange(1, 50), default=6, show_default=True, help="Decodes to show.")
@click.option("--timeout", type=duration_type, default="2s", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON list, a register each.")
def read_modbus(
    host: str,
    unit_id: int,
    register: int,
    count: int,
    space: str,
    hint: str | None,
    hint_unit: str | None,
    again: float | None,
    best: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Read registers raw and list every plausible decode, the most plausible first.

    A decode is a type, a word order and an address (also one lower or higher, for manuals that count from
    1). Exit code 1 when the device does not answer or has no such register.
    """
    from gateway.installer.decodes import rank

    quantity = _quantity(hint, hint_unit)
    first, later = _look(host, unit_id, space, register, count, again, timeout)
    asked = range(register, register + count)
    if first.fault is not None or all(_word(first, at) is None for at in asked):
        why = first.fault or "the device has no such register"
        detail = f"{why.code} {why.detail}".strip() if not isinstance(why, str) else why
        raise click.ClickException(f"{host} unit {unit_id} {space} {register}: {detail}")
    answers = []
    for at in asked:
        window, index = _window(first, at)
        creep = _window(later, at)[0] if later is not None else None
        answers.append((at, rank(window, index, quantity, unit=hint_unit, again=creep)[:best]))
    if as_json:
        click.echo(json.dumps([_as_json(first, at, decodes) for at, decodes in answers], indent=2))
        return
    for at, decodes in answers:
        click.echo(_as_text(first, space, at, decodes))


def _quantity(hint: str | None, unit: str | None) -> str | None:
    from drivers.units import UnitError, quantities
    from gateway.installer.priors import quantity_named, units_of

    try:
        quantity = quantity_named(hint) if hint else quantities(unit)[0] if unit else None
    except UnitError as error:
        raise click.UsageError(str(error)) from None
    usual = [name for name, *_ in units_of(quantity)] if quantity else []
    if unit and unit not in usual:
        raise click.UsageError(f"unit '{unit}' is not usual for {quantity}; one of {', '.join(usual)}")
    return quantity


def _look(
    host: str, unit_id: int, space: str, register: int, count: int, again: float | None, timeout: float
) -> tuple[Registers, Registers | None]:
    """The registers asked for with those around them, once or twice."""
    from drivers.base import LinkError
    from drivers.modbus.settings import Table, TcpLinkSettings
    from gateway.cli.registers import read_registers

    name, port = endpoint(host, 502)
    link = TcpLinkSettings(host=name, port=port, timeout=timeout)
    start = max(0, register - 1)

    async def look() -> tuple[Registers, Registers | None]:
        def once() -> Any:
            return read_registers(
                "modbus-tcp", link, unit_id, Table(space), start, register - start + count + AROUND - 1
            )

        first = await once()
        if again is None or first.fault is not None:
            return first, None
        await asyncio.sleep(again)
        return first, await once()

    try:
        return asyncio.run(look())
    except (LinkError, OSError) as error:
        raise click.ClickException(f"{host}: {error}") from None


def endpoint(text: str, port: int) -> tuple[str, int]:
    """Host and port of 'host', 'host:port' or '[v6]:port'. Raises UsageError."""
    host, _, digits = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "")
    if digits and not (digits.isdigit() and 1 <= int(digits) <= 65535):
        raise click.UsageError(f"'{text}': the port is a number from 1 to 65535")
    return host.strip("[]"), int(digits) if digits else port


def _word(found: Registers, register: int) -> int | None:
    return found.words[register - found.start]


def _window(found: Registers, register: int) -> tuple[tuple[int | None, ...], int]:
    """The registers from one before to the longest type after, and where in them the asked one is."""
    index = register - found.start
    first = max(0, index - 1)
    return found.words[first : index + AROUND], index - first


def _as_json(found: Registers, register: int, decodes: list[Decode]) -> dict[str, Any]:
    from gateway.installer.decodes import meaning_nothing

    window, index = _window(found, register)
    return {
        "register": register,
        "raw": [None if word is None else f"{word:04x}" for word in window[index:]],
        "may_mean": meaning_nothing(window[index : index + 2]),
        "decodes": [dataclasses.asdict(decode) for decode in decodes],
    }


def _as_text(found: Registers, space: str, register: int, decodes: list[Decode]) -> str:
    from gateway.installer.decodes import meaning_nothing

    window, index = _window(found, register)
    raw = " ".join("----" if word is None else f"{word:04x}" for word in window[index:])
    lines = [f"{space} {register}: {raw}"]
    if nothing := meaning_nothing(window[index : index + 2]):
        lines.append(f"may mean no value: {nothing}")
    rows = [
        (
            f"{100 * decode.probability:.1f}",
            decode.name,
            number(decode.number),
            "; ".join(f"{number(s.value)} {s.unit} (x{s.scale:g})" for s in decode.scalings[:3]),
            ", ".join(decode.same[:2]) + (", ..." if len(decode.same) > 2 else ""),
        )
        for decode in decodes
    ]
    headers = ("%", "read as", "number", "could be", "the same as")
    return "\n".join([*lines, table(headers, rows, right=("%", "number"))])
