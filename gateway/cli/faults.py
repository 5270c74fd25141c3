"""`heyzack simulate fault|faults|clear`: break simulated equipment while it runs."""

from __future__ import annotations

import json
from typing import Any

import click

from gateway.cli.options import duration_type
from gateway.cli.tables import table

DEFAULT_CONTROL = "http://127.0.0.1:18087"

control_option = click.option(
    "--control",
    envvar="HEYZACK_SIMULATORS",
    default=DEFAULT_CONTROL,
    show_default=True,
    help="The simulators' control address, as `heyzack demo` prints it.",
)


@click.command("fault")
@click.argument("device")
@click.argument("kind")
@click.option("--for", "for_s", type=duration_type, help="How long (30s, 5min); else until it is cleared.")
@click.option("--point", help="This point only; else all of the device.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="Of the occasions it strikes.")
@click.option("--code", type=int, help="exception: the Modbus exception or HTTP status.")
@click.option(
    "--seconds", type=duration_type, help="delay: how late; counter-rollover: when; see the README."
)
@click.option(
    "--value", type=float, help="spike: the factor; counter-reset: the new register; see the README."
)
@click.option("--json", "as_json", is_flag=True, help="Print the fault as one JSON object.")
@control_option
def fault_command(
    device: str, kind: str, for_s: float | None, as_json: bool, control: str, **rest: Any
) -> None:
    """Make something go wrong: `heyzack simulate fault main-meter drop --for 30s`.

    Devices are the demo's, `mqtt` is the broker, `cloud` the receiver. Kinds: delay, drop, exception,
    corrupt, wrong-unit, wrong-transaction, truncate, half-open, reboot, frozen, spike, counter-reset,
    counter-rollover, not-available, clock-drift, no-segmentation, unknown-object, lost-cov,
    malformed-flood, oversize, retained-stale, slow, partial.

    Exit code 1: the simulators do not answer; 2: this device cannot have it.
    """
    wanted = {"device": device, "kind": kind, "for": for_s} | rest
    answer = _ask("POST", f"{control}/faults", {key: v for key, v in wanted.items() if v is not None})
    click.echo(json.dumps(answer) if as_json else f"fault {answer['id']} is on: {_words(answer)}")


@click.command("faults")
@click.option("--json", "as_json", is_flag=True, help="As one JSON list.")
@control_option
def faults_command(as_json: bool, control: str) -> None:
    """List what is wrong now."""
    faults = _ask("GET", f"{control}/faults")
    if as_json:
        click.echo(json.dumps(faults, indent=2))
    elif not faults:
        click.echo("nothing is wrong")
    else:
        rows = [(str(one["id"]), one["device"], one["kind"], _words(one, short=True)) for one in faults]
        click.echo(table(("id", "device", "fault", "details"), rows))


@click.command("clear")
@click.argument("device", required=False)
@click.option("--id", "fault_id", type=int, help="This fault only.")
@control_option
def clear_command(device: str | None, fault_id: int | None, control: str) -> None:
    """Put things right: one fault, those of a device, or all."""
    place = "/faults" if fault_id is None else f"/faults/{fault_id}"
    query = f"?device={device}" if device else ""
    click.echo(f"{_ask('DELETE', control + place + query)['cleared']} cleared")


def _words(fault: dict[str, Any], *, short: bool = False) -> str:
    details = {k: v for k, v in fault.items() if k not in ("id", "device", "kind", "since")}
    words = ", ".join(f"{key.removesuffix('_s')} {value}" for key, value in details.items())
    return words if short else f"{fault['device']} {fault['kind']} {words}".rstrip()


def _ask(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    import urllib3

    pool = urllib3.PoolManager(retries=False, timeout=30.0)
    try:
        answer = pool.request(method, url, json=body) if body else pool.request(method, url)
    except urllib3.exceptions.HTTPError as error:
        raise click.ClickException(
            f"the simulators do not answer at {url}: {error}; start them with `heyzack demo`, "
            "or name their address with --control"
        ) from None
    content = json.loads(answer.data)
    if answer.status >= 400:
        raise click.UsageError(str(content.get("error", content)))
    return content
