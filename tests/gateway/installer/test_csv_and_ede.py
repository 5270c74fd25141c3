"""Tables of points: what is written comes back, whatever a spreadsheet makes of separators and commas."""

from __future__ import annotations

from pathlib import Path
from string import printable

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import main
from gateway.config import load
from gateway.installer.csvmap import TableError, from_csv, to_csv
from gateway.installer.devicemap import MapDevice, MapPoint
from gateway.installer.ede import from_ede
from gateway.installer.mapping import bacnet_device

DEMO = Path(__file__).parents[3] / "configs" / "demo"

TEXTS = st.text(alphabet=printable + "éß²µ€'", min_size=1, max_size=20).map(str.strip).filter(bool)
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True)
NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: not x.is_integer())
)
POINT_KEYS = st.fixed_dictionaries(
    {"register": st.integers(0, 65535)},
    optional={
        "type": st.sampled_from(["u16", "f32"]), "scale": NUMBERS, "low": NUMBERS, "unit": TEXTS,
        "description": TEXTS, "address": st.sampled_from(["00017", 40001]), "modulus": st.just("2^32"),
        "values": st.dictionaries(NAMES, st.integers(0, 9), min_size=1, max_size=2),
    },
)  # fmt: skip
POINTS = st.dictionaries(NAMES, st.one_of(POINT_KEYS, st.none()), max_size=4).map(
    lambda points: tuple(
        MapPoint(n, {}, dropped=True) if keys is None else MapPoint(n, keys) for n, keys in points.items()
    )
)
DEVICE_KEYS = st.fixed_dictionaries(
    {"host": st.just("10.0.0.9")},
    optional={"unit_id": st.integers(0, 255), "description": TEXTS, "every": st.just("10s"),
              "address": st.just("10.0.0.7:47809")},
)  # fmt: skip
MAPS = st.dictionaries(NAMES, st.tuples(DEVICE_KEYS, POINTS), min_size=1, max_size=4).map(
    lambda devices: [MapDevice(name, keys, points) for name, (keys, points) in devices.items()]
)


@given(MAPS, st.booleans())
def test_a_map_that_is_written_as_a_table_reads_back_as_it_was(devices: list[MapDevice], comma: bool) -> None:
    table = "\ufeff" + to_csv(devices, decimal_comma=comma)
    assert from_csv(table.encode(), "map.csv") == devices


def test_the_demos_map_goes_through_a_spreadsheet_and_back(tmp_path: Path) -> None:
    table = tmp_path / "demo.csv"
    run = CliRunner()
    wrote = run.invoke(main, ["points", "--config", str(DEMO), "--csv", str(table), "--decimal-comma"])
    assert wrote.exit_code == 0, wrote.output
    assert table.read_bytes().startswith(b"\xef\xbb\xbfdevice;")
    assert "0,001" in table.read_text(encoding="utf-8")
    (tmp_path / "site.yaml").write_text((DEMO / "site.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    imported = run.invoke(main, ["import", "map", str(table), "--config", str(tmp_path), "--name", "all"])
    assert imported.exit_code == 0, imported.output
    assert load(tmp_path, {}).devices == load(DEMO, {}).devices


@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_any_usual_separator_is_understood(separator: str) -> None:
    rows = [["device", "device.host", "point", "register", "scale", "unit"],
            ["meter", "10.0.0.9", "volume", "0", "0.001", "m3"]]  # fmt: skip
    raw = "\n".join(separator.join(row) for row in rows).encode()
    [device] = from_csv(raw, "x.csv")
    assert device.points[0].keys == {"register": 0, "scale": 0.001, "unit": "m3"}


def test_a_spreadsheets_windows_text_is_understood() -> None:
    [device] = from_csv("device;point;register;description\na;b;1;Zähler".encode("cp1252"), "x.csv")
    assert device.points[0].keys["description"] == "Zähler"


def test_a_text_that_looks_like_a_formula_is_defused() -> None:
    table = to_csv([MapDevice("a", {}, (MapPoint("b", {"description": "=1+1"}),))])
    assert ";'=1+1" in table
    assert from_csv(table.encode(), "x.csv")[0].points[0].keys["description"] == "=1+1"


def test_every_mistake_is_told_with_its_line() -> None:
    raw = b"device;device.host;point;register\nm;h;a;1\nm;other;b;2\nm;;a;3\n;;c;4\nm;;d;{x\n"
    with pytest.raises(TableError) as caught:
        from_csv(raw, "map.csv")
    assert [str(problem).split(": ")[0] for problem in caught.value.problems] == [
        "map.csv:3", "map.csv:4", "map.csv:5", "map.csv:6",
    ]  # fmt: skip


def test_a_misspelt_column_is_corrected() -> None:
    with pytest.raises(TableError, match="did you mean 'register'"):
        from_csv(b"device;point;registr\n", "map.csv")


EDE = """\
# Proposal_Engineering-Data-Exchange - B.I.G.-EU
PROJECT_NAME;Office
VERSION_OF_REFERENCEFILE;1
TIMESTAMP_OF_LAST_CHANGE;2026-01-05
AUTHOR_OF_LAST_CHANGE;X
VERSION_OF_LAYOUT;2.3
#keyname;device obj.-instance;object-name;object-type;object-instance;description;present-value-default;min-present-value;max-present-value;settable;supports COV;hi-limit;low-limit;state-text-reference;unit-code;vendor-specific-address
k1;1201;AHU01.SupTmp;0;1;Supply air;;;;N;Y;;;;62;
k2;1201;AHU01.SupSp;2;1;Setpoint;20,5;10;30;Y;Y;;;;62;
k3;1201;AHU01.Fan;5;1;Fan;;;;Y;Y;;;1;;
k4;1201;AHU01.Sched;17;1;;;;;N;N;;;;;
k5;1202;Odd;0;9;;;;;N;N;;;;9999;
"""  # noqa: E501 - as makers write it


def test_an_ede_list_becomes_points_with_units_and_kinds() -> None:
    first, second = from_ede(EDE.encode("utf-8-sig"), "office.csv")
    made = bacnet_device(first, "bms")
    assert [(p.name, p.keys["object"], p.keys.get("unit"), p.keys.get("kind")) for p in made.points] == [
        ("AHU01.SupTmp", "analog-input,1", "degC", None),
        ("AHU01.SupSp", "analog-value,1", "degC", "setpoint"),
        ("AHU01.Fan", "binary-value,1", None, "command"),
    ]  # fmt: skip
    assert first.others == ("schedule,1",)
    assert [p.name for p in bacnet_device(second, "bms").candidates] == ["Odd"]


def test_an_ede_list_is_imported_ready_to_validate(tmp_path: Path) -> None:
    source = tmp_path / "office.csv"
    source.write_text(EDE.replace("k5;1202", "k5;1201"), encoding="utf-8")
    run = CliRunner()
    done = run.invoke(
        main, ["import", "ede", str(source), "--config", str(tmp_path), "--address", "10.0.0.5/24"]
    )
    assert done.exit_code == 0, done.output
    assert len(load(tmp_path, {}).devices["device-1201"].points) == 3


def test_a_wrong_ede_line_is_told_with_its_place() -> None:
    with pytest.raises(TableError, match=r"office\.csv:9: object-type 'AV'"):
        from_ede(EDE.replace("AHU01.SupSp;2", "AHU01.SupSp;AV").encode(), "office.csv")
