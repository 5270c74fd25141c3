"""The gateway's own figures as BACnet objects, so that a building management system shows and trends them.

One analog value for each name that the link's `publish:` lists, numbered from 1 in its order: a name keeps
its number as long as new ones are added at the end. Others may read and subscribe; writes are rejected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from bacpypes3.basetypes import EngineeringUnits, Reliability
from bacpypes3.local.analog import AnalogValueObject

from drivers.bacnet.units import bacnet_unit

COV_INCREMENT = 0.1


class Published:
    """The published objects of one open link."""

    def __init__(self, app: Any, names: Sequence[str]) -> None:
        self._objects = {name: _object(number, name) for number, name in enumerate(names, start=1)}
        for served in self._objects.values():
            app.add_object(served)

    def update(self, values: Mapping[str, tuple[float | None, str]]) -> None:
        """Bring figures up to date: name -> (value, unit). None: there is no value now."""
        for name, (value, unit) in values.items():
            served = self._objects.get(name)
            if served is None:
                continue
            there = value is not None and isfinite(value)
            served.units = EngineeringUnits(bacnet_unit(unit))
            served.reliability = Reliability("no-fault-detected" if there else "no-sensor")
            served.statusFlags = [0, int(not there), 0, 0]
            if there:
                served.presentValue = value


def _object(number: int, name: str) -> Any:
    """An object without a value: its fault flag says so until update() brings one."""
    return AnalogValueObject(
        objectIdentifier=("analog-value", number),
        objectName=name,
        description=name.replace("_", " "),
        presentValue=0.0,
        units=EngineeringUnits("no-units"),
        covIncrement=COV_INCREMENT,
        eventState="normal",
        outOfService=False,
        reliability="no-sensor",
        statusFlags=[0, 1, 0, 0],
    )
