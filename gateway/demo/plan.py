"""What one demo is made of: dates, seed, ports and folders. Dates and seed are kept in the state folder."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

SEED = 7
BASELINE_MONTHS = 12
PAST_MONTHS = 25

DEFAULT_PORTS: Mapping[str, int] = {
    "main-meter": 15021,
    "hvac-meter": 15022,
    "pv-meter": 15023,
    "water-meter": 15024,
    "gas-meter": 15025,
    "bacnet": 47820,
    "ahu-1": 47821,
    "zone-1": 47822,
    "zone-2": 47823,
    "zone-3": 47824,
    "heat-pump": 47825,
    "mqtt": 18830,
    "cloud": 18086,
    "control": 18087,
    "page": 8080,
}
"""Every port is on loopback; one that is taken is replaced by a free one."""

UDP = {"bacnet", "ahu-1", "zone-1", "zone-2", "zone-3", "heat-pump"}


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """One demo. The baseline year ends the day before the retrofit."""

    state: Path
    seed: int
    baseline_from: date
    retrofit: date
    ports: Mapping[str, int]
    first_start: bool

    @property
    def baseline_to(self) -> date:
        return self.retrofit - timedelta(days=1)

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.ports['page']}"

    @property
    def cloud(self) -> str:
        return f"http://127.0.0.1:{self.ports['cloud']}"

    @property
    def control(self) -> str:
        return f"http://127.0.0.1:{self.ports['control']}"

    def environment(self) -> dict[str, str]:
        """The variables that configs/demo asks for."""
        ports = {
            f"HEYZACK_DEMO_PORT_{name.upper().replace('-', '_')}": str(port)
            for name, port in self.ports.items()
        }
        return ports | {
            "HEYZACK_DEMO_BASELINE_FROM": self.baseline_from.isoformat(),
            "HEYZACK_DEMO_BASELINE_TO": self.baseline_to.isoformat(),
            "HEYZACK_DEMO_RETROFIT": self.retrofit.isoformat(),
            "HEYZACK_DEMO_STATE": str(self.store),
        }

    @property
    def store(self) -> Path:
        """The gateway's store."""
        return self.state / "gateway"

    @property
    def cloud_folder(self) -> Path:
        """What the receiver has received."""
        return self.state / "cloud"


def make_plan(state: Path, today: date, page_port: int | None = None) -> DemoPlan:
    """The plan for a state folder: a new one gets dates from today, a used one keeps its own."""
    state.mkdir(parents=True, exist_ok=True)
    kept = state / "demo.json"
    if first_start := not kept.exists():
        this_month = today.replace(day=1)
        facts = {
            "seed": SEED,
            "baseline_from": _months_before(this_month, PAST_MONTHS).isoformat(),
            "retrofit": _months_before(this_month, PAST_MONTHS - BASELINE_MONTHS).isoformat(),
        }
        kept.write_text(json.dumps(facts), encoding="utf-8")
    facts = json.loads(kept.read_text(encoding="utf-8"))
    return DemoPlan(
        state=state.resolve(),
        seed=int(facts["seed"]),
        baseline_from=date.fromisoformat(str(facts["baseline_from"])),
        retrofit=date.fromisoformat(str(facts["retrofit"])),
        ports=_free_ports(page_port),
        first_start=first_start,
    )


def _months_before(first: date, months: int) -> date:
    index = first.year * 12 + first.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)


def _free_ports(page_port: int | None) -> dict[str, int]:
    wanted = dict(DEFAULT_PORTS)
    if page_port is not None:
        wanted["page"] = page_port
    return {name: _free_port(port, udp=name in UDP) for name, port in wanted.items()}


def _free_port(wanted: int, *, udp: bool) -> int:
    """`wanted` if nobody has it, else one the system gives."""
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, kind) as probe:
            if not udp:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free loopback port")
