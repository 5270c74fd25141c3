"""Units: each converts to the canonical unit by the factor its definition gives, or says what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import units
from drivers.units import CANONICAL, Conversion, canonical_unit, conversion, quantities


@pytest.mark.parametrize(
    ("value", "unit", "canonical", "expected"),
    [
        (3.6, "MJ", "kWh", 1.0),
        (1, "therm", "kWh", 29.3071),
        (1, "MMBTU", "kWh", 293.0711),
        (860.0, "kcal", "kWh", 1.00018),
        (1500, "W", "kW", 1.5),
        (1, "hp", "kW", 0.7457),
        (1, "TR", "kW", 3.5169),
        (212, "degF", "degC", 100.0),
        (-40, "degF", "degC", -40.0),
        (293.15, "K", "degC", 20.0),
        (9, "degF", "K", 5.0),
        (7, "degC", "K", 7.0),
        (264.172, "gal", "m3", 1.0),
        (1, "ccf", "m3", 2.83168),
        (1, "L/min", "m3/h", 0.06),
        (1, "gpm", "m3/h", 0.2271247),
        (1000, "cfm", "L/s", 471.947),
        (1.01325, "bar", "Pa", 101325),
        (1, "inH2O", "Pa", 249.089),
        (0.5, "fraction", "%", 50),
        (0.04, "%", "ppm", 400),
        (420_000, "ppb", "ppm", 420),
        (36, "km/h", "m/s", 10),
        (95, "%", "1", 0.95),
    ],
)
def test_a_unit_converts_by_its_definition(value: float, unit: str, canonical: str, expected: float) -> None:
    assert conversion(unit, canonical)(value) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("quantity", "unit"), CANONICAL.items())
def test_every_canonical_unit_converts_to_itself(quantity: str, unit: str) -> None:
    assert conversion(unit, canonical_unit(quantity)) == Conversion(1.0, 0.0)


@pytest.mark.parametrize(
    ("typographic", "plain", "canonical"),
    [("°C", "degC", "degC"), ("m³/h", "m3/h", "m3/h"), ("µg/m³", "ug/m3", "ug/m3")],
)
def test_typographic_spellings_are_understood(typographic: str, plain: str, canonical: str) -> None:
    assert conversion(typographic, canonical) == conversion(plain, canonical)


def test_an_unknown_unit_names_the_nearest_spelling() -> None:
    with pytest.raises(units.UnknownUnit, match="unit 'degc' is unknown; did you mean 'degC'"):
        conversion("degc", "degC")


def test_letter_case_is_never_guessed_where_it_changes_the_meaning() -> None:
    with pytest.raises(units.UnknownUnit, match=r"'MW' or 'mW'"):
        conversion("mw", "kW")


def test_a_unit_of_another_quantity_is_refused_with_the_units_that_fit() -> None:
    with pytest.raises(units.IncompatibleUnit, match=r"'kW' does not convert to kWh; use one of kWh, Wh"):
        conversion("kW", "kWh")


def test_an_unknown_quantity_names_the_nearest() -> None:
    with pytest.raises(units.UnknownQuantity, match="did you mean 'electric_energy'"):
        canonical_unit("electrical_energy")


def test_a_unit_suggests_its_own_quantities_first() -> None:
    assert quantities("kW")[0] == "electric_power"
    assert quantities("K")[0] == "temperature_difference"
    assert quantities("°F")[0] == "temperature"
    assert "co2" in quantities("ppb")


@given(st.sampled_from(sorted(units.UNITS)), st.floats(-1e6, 1e6))
def test_every_unit_reaches_some_quantity_reversibly(unit: str, value: float) -> None:
    for quantity in quantities(unit):
        there = conversion(unit, canonical_unit(quantity))
        assert (there(value) - there.offset) / there.factor == pytest.approx(value, abs=1e-6)
