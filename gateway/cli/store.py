"""`heyzack store`: the store on disk, looked at beside a running gateway or without one."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from gateway.cli.loading import load_or_exit
from gateway.cli.options import config_option
from gateway.cli.tables import moment, size, table

_KINDS = {"journal": "journal", "history": "history", "catalogue": "catalogue", "records": "records"}


@click.group("store")
def command() -> None:
    """Look into the store on disk."""


@command.command("stats")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def stats(config: Path, as_json: bool) -> None:
    """Bytes by kind of file, what the journal holds, and how far each sink is.

    Only reads, so the gateway may run. Exit code 1: there is no store yet.
    """
    installation = load_or_exit(config)
    folder = installation.store.path
    if not folder.is_dir():
        raise click.ClickException(f"there is no store at {folder} yet; `heyzack run` makes it")
    figures = store_figures(folder) | {
        "bytes_cap": installation.store.max_bytes,
        "min_free": installation.store.min_free,
    }
    click.echo(json.dumps(figures, indent=2) if as_json else _text(figures))


def store_figures(folder: Path) -> dict[str, Any]:
    """What the files of a store say of themselves; figures of files that do not exist are 0."""
    from gateway.store.reader import Reader

    files = {path.name: path.stat().st_size for path in _files(folder)}
    by_kind = dict.fromkeys([*_KINDS, "other"], 0)
    for name, length in files.items():
        by_kind[next((kind for kind in _KINDS if name.startswith(kind)), "other")] += length
    with Reader(folder) as reader:
        series = len(reader.series())
    return {
        "path": str(folder),
        "time": time.time_ns(),
        "series": series,
        "bytes_used": sum(files.values()),
        "bytes_by_kind": by_kind,
        "months": sorted(p.stem.removeprefix("history-") for p in folder.glob("history-*.db")),
        **_journal(folder),
    }


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _journal(folder: Path) -> dict[str, Any]:
    from gateway.store import log
    from gateway.store.database import open_reader
    from gateway.store.journal import RowKind

    figures: dict[str, Any] = {
        "commits": 0, "oldest_seq": 0, "newest_seq": 0, "oldest_time": 0, "newest_time": 0,
        "samples_in_journal": 0, "dead_letters": 0, "sinks": [],
    }  # fmt: skip
    path = folder / log.NAME
    if not path.is_file():
        return figures
    try:
        with closing(open_reader(path)) as db:
            row = db.execute(
                "SELECT count(*), min(seq), max(seq), min(time), max(time), "
                "sum(CASE WHEN kind=? THEN n END) FROM journal",
                (int(RowKind.SAMPLES),),
            ).fetchone()
            names = (
                "commits",
                "oldest_seq",
                "newest_seq",
                "oldest_time",
                "newest_time",
                "samples_in_journal",
            )
            figures |= {name: int(value or 0) for name, value in zip(names, row, strict=True)}
            figures["dead_letters"] = int(db.execute("SELECT count(*) FROM dead_letter").fetchone()[0])
            figures["sinks"] = [
                {
                    "sink": name,
                    "settled_to": low,
                    "samples_acknowledged": samples,
                    "facts_acknowledged": facts,
                }
                for name, low, samples, facts in db.execute(
                    "SELECT name, low_water, samples, facts FROM sink"
                )
            ]
    except sqlite3.DatabaseError as error:
        raise click.ClickException(
            f"{path} cannot be read: {error}; the gateway sets it aside by itself"
        ) from None
    return figures


def _span(months: list[str]) -> str:
    return f"{months[0]} to {months[-1]} ({len(months)} months)" if months else "none yet"


def _text(figures: dict[str, Any]) -> str:
    kinds = ", ".join(f"{kind} {size(length)}" for kind, length in figures["bytes_by_kind"].items() if length)
    lines = [
        f"store      {figures['path']}",
        f"on disk    {size(figures['bytes_used'])} of {size(figures['bytes_cap'])} ({kinds})",
        f"series     {figures['series']}",
        f"history    {_span(figures['months'])}",
        f"journal    {figures['commits']} commits, {figures['samples_in_journal']} samples, seq "
        f"{figures['oldest_seq']} to {figures['newest_seq']}, newest {moment(figures['newest_time'])} UTC",
        f"refused    {figures['dead_letters']} lines",
    ]
    rows = [
        (
            sink["sink"],
            str(sink["settled_to"]),
            str(sink["samples_acknowledged"]),
            str(sink["facts_acknowledged"]),
        )
        for sink in figures["sinks"]
    ]
    headers = ("sink", "settled to", "samples acknowledged", "facts acknowledged")
    return "\n".join(lines) + ("\n\n" + table(headers, rows, right=headers[1:]) if rows else "")
