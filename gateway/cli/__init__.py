"""Command line: `heyzack`. A verb's module is imported only when the verb is used, so that start-up is quick.

Exit codes, unless a verb says otherwise: 0 fine, 1 the answer is "no" (problems found, a point is bad, the
gateway does not answer), 2 the command itself is wrong (bad option, nothing to read).
"""

from __future__ import annotations

from importlib import import_module

import click

from gateway import __version__

VERBS: dict[str, str] = {
    "run": "Run the gateway with the configuration in a folder.",
    "demo": "Run everything against a simulated building on this machine.",
    "validate": "Find every mistake of a configuration; needs no network.",
    "test": "Ask every point once and show value, unit and raw bytes.",
    "lint": "Watch the live points and flag what looks wrong.",
    "scan": "Look for devices: bacnet, modbus, mqtt.",
    "read": "Read a point, or raw registers with every plausible decode.",
    "points": "List the configured points.",
    "import": "Make a device map of a table: CSV or BACnet EDE.",
    "export": "Write what is configured in another form: Brick.",
    "report": "Write the commissioning report; sign points off.",
    "status": "What the running gateway says of itself.",
    "alarm": "List alarms.",
    "kpi": "Show KPI results.",
    "config": "Show, compare or reload a configuration.",
    "template": "List, check or begin device templates.",
    "store": "Look into the store on disk.",
    "simulate": "Serve simulated equipment.",
}
"""Verb -> what it does; its module in this package (`_MODULES`, else the same name) has a `command`."""

_MODULES = {"import": "importing", "export": "exporting"}
"""Verbs that Python keeps for itself."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used; help texts need no import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = import_module(f"gateway.cli.{_MODULES.get(name, name)}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS:
            from gateway.config.errors import did_you_mean

            hint = did_you_mean(args[0], VERBS) or "see `heyzack --help`"
            ctx.fail(f"there is no verb '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="heyzack")
def main() -> None:
    """HeyZack Gateway: polls BACnet, Modbus and MQTT, proves savings at the edge, never loses a sample."""


__all__ = ["main", "VERBS"]
