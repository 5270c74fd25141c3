"""`heyzack report`: what was commissioned, and by whom."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option, duration_type
from gateway.cli.tables import number

if TYPE_CHECKING:
    from gateway.cli.probing import Reading
    from gateway.installer.commissioning import Tested
    from gateway.site import Installation

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PRINT_WITHIN_S = 60


@click.group("report")
def command() -> None:
    """The commissioning report, and signing points off."""


@command.command("commissioning")
@config_option
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="FILE.html or FILE.pdf."
)
@click.option(
    "--wait", "wait_s", type=duration_type, help="The longest wait for devices that send by themselves."
)
@click.option("--force", is_flag=True, help="Replace the file that is there.")
def commissioning(config: Path, out: Path, wait_s: float | None, force: bool) -> None:
    """Read every point once and write the report: value, unit, quality, signature. Stores nothing.

    A PDF needs Chromium on this machine. Exit code 1 when the file is there, or no browser prints.
    """
    from gateway.installer.commissioning import sections, to_html
    from gateway.installer.folder import FileExists, write_text
    from gateway.installer.signoff import signed

    if out.suffix not in (".html", ".pdf"):
        raise click.UsageError(f"'{out}': the report is an .html or a .pdf file")
    installation = load_or_exit(config)
    try:
        signatures = signed(config)
        tested = {(r.device, r.point): _tested(r) for r in _read(installation, (), wait_s)}
        made = f"{datetime.now(installation.site.timezone):%Y-%m-%d %H:%M %Z}"
        parts = sections(installation, tested, signatures)
        html = to_html(installation, parts, made)
        if out.suffix == ".html":
            write_text(out, html, force=force)
        else:
            _print(html, out, force)
    except (FileExists, ValueError) as error:
        raise click.ClickException(str(error)) from None
    lines = [line for part in parts for line in part.lines]
    done = sum(line.state == "signed" for line in lines)
    good = sum(line.good for line in lines)
    click.echo(f"wrote {out}: {len(lines)} points, {good} good, {done} signed off")


@command.command("sign")
@click.argument("points", nargs=-1, metavar="DEVICE/POINT...")
@config_option
@click.option("--by", required=True, help="Who signs.")
@click.option("--note", default="", help="Such as what it was compared with.")
@click.option("--all-good", is_flag=True, help="Every point that is good now, instead of naming them.")
@click.option("--wait", "wait_s", type=duration_type, help="As for `heyzack test`.")
def sign_points(
    points: tuple[str, ...], config: Path, by: str, note: str, all_good: bool, wait_s: float | None
) -> None:
    """Sign points off with the value they have now, in signoffs.csv beside the configuration.

    Exit code 1 when a named point is bad: it is not signed.
    """
    from gateway.cli.probing import find_points
    from gateway.config.errors import suggest
    from gateway.installer.signoff import SignOff, definition, sign

    installation = load_or_exit(config)
    known = find_points(installation)
    if bool(points) == all_good:
        raise click.UsageError("name the points, or write --all-good")
    for name in points:
        if name not in known:
            hint = suggest(name, known, "points are")
            raise click.UsageError(f"point '{name}' is unknown; {hint}")
    readings = _read(installation, points, wait_s)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    signatures = [
        SignOff(now, r.device, r.point, by, f"{number(r.value)} {r.unit}",
                definition(known[f"{r.device}/{r.point}"]), note)
        for r in readings if r.good
    ]  # fmt: skip
    sign(config, signatures)
    for reading in readings:
        if not reading.good:
            click.echo(f"{reading.device}/{reading.point} is {reading.quality}: not signed", err=True)
    click.echo(f"{len(signatures)} of {len(readings)} points signed off by {by}")
    raise SystemExit(0 if all_good or len(signatures) == len(readings) else 1)


def _read(installation: Installation, names: tuple[str, ...], wait_s: float | None) -> list[Reading]:
    from gateway.cli.probing import find_points, read_points

    known = find_points(installation)
    return read_points(installation, [known[name] for name in names or known], wait_s)


def _tested(reading: Reading) -> Tested:
    from gateway.installer.commissioning import Tested

    detail = f"{reading.fault} {reading.detail}".strip()
    return Tested(number(reading.value), reading.unit, reading.quality, reading.good, detail)


def _print(html: str, out: Path, force: bool) -> None:
    """Print a page to PDF. Raises FileExists and ClickException."""
    from gateway.installer.folder import FileExists

    if out.exists() and not force:
        raise FileExists(f"{out} is there already; --force replaces it")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise click.ClickException("a PDF needs Chromium on this machine; write an .html and print that")
    with tempfile.TemporaryDirectory() as folder:
        page, made = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, encoding="utf-8")
        arguments = [
            "--headless",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={made}",
            page.as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            arguments.insert(0, "--no-sandbox")  # Chromium's own does not work for root
        try:
            subprocess.run([browser, *arguments], check=True, capture_output=True, timeout=PRINT_WITHIN_S)  # noqa: S603 - fixed arguments
            out.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, out)
        except (subprocess.SubprocessError, OSError) as error:
            raise click.ClickException(f"{browser} did not print ({error}); write an .html instead") from None
