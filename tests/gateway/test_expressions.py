"""Expressions over points: grammar, errors with a column, arithmetic on columns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.expressions import FUNCTIONS, Expression, ExpressionError

A, B = "main-meter/energy_import", "pv-2/energy.total"
finite = st.floats(-1e6, 1e6)
columns = st.lists(st.tuples(finite, finite), min_size=1, max_size=5)


def value(text: str, **points: float) -> float:
    given_columns = {name.replace("__", "/"): np.array([number]) for name, number in points.items()}
    return float(Expression.parse(text).evaluate(given_columns)[0])


def error(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text)
    return caught.value


def test_names_are_listed_once_in_order_of_appearance() -> None:
    assert Expression.parse(f"{B} + {A} - {B}").names == (B, A)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/x + b/y * 2", 14.0),
        ("(a/x + b/y) * 2", 18.0),
        ("a/x - b/y - 1", -2.0),
        ("a/x / b/y * 2", 4 / 5 * 2),
        ("-a/x", -4.0),
        ("2 * -a/x", -8.0),
        ("--a/x", 4.0),
        ("10.5e-1*a/x", 4.2),
        ("min(a/x, b/y, 3)", 3.0),
        ("max(a/x, b/y)", 5.0),
        ("sum(a/x, b/y, 1)", 10.0),
        ("avg(a/x, b/y)", 4.5),
        ("abs(a/x - b/y)", 1.0),
        ("clip(a/x, 0, 3)", 3.0),
        ("where(a/x - 4, 1, b/y)", 5.0),
    ],
)
def test_arithmetic(text: str, expected: float) -> None:
    assert value(text, a__x=4.0, b__y=5.0) == pytest.approx(expected)


def test_a_minus_inside_a_name_belongs_to_the_name() -> None:
    assert Expression.parse("main-meter/energy-import").names == ("main-meter/energy-import",)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a/b-c/d", 6, "ambiguous"),
        ("a/b- c/d", 4, "ambiguous"),
        ("a/b /c/d", 5, "ambiguous"),
        ("2/a/b", 2, "ambiguous"),
        ("", 1, "too early"),
        ("a/b +", 6, "too early"),
        ("a/b + )", 7, "unexpected ')'"),
        ("(a/b", 5, "expected ')'"),
        ("a/b c/d", 5, "expected an operator"),
        ("a/b $ 2", 5, "unexpected character"),
        ("power * 2", 1, "neither a point nor a function"),
        ("mean(a/b)", 1, "neither a point nor a function"),
        ("clip(a/b, 1)", 1, "takes 3"),
        ("max()", 5, "unexpected"),
        ("1 + 2", 1, "names no point"),
        ("(" * 51 + "a/b" + ")" * 51, 51, "nested"),
    ],
)
def test_an_error_names_the_column(text: str, column: int, message: str) -> None:
    problem = error(text)
    assert message in problem.message
    assert problem.column == column


def test_an_ambiguous_minus_is_explained() -> None:
    assert error("a/b-c/d").hint.startswith("put spaces around every '-'")


def test_division_by_zero_is_missing_not_infinite() -> None:
    assert math.isnan(value("a/x / (a/x - 4)", a__x=4.0))


def test_overflow_is_missing() -> None:
    assert math.isnan(value("a/x * 1e300", a__x=1e300))


def test_a_branch_that_is_not_taken_may_be_missing() -> None:
    assert value("where(a/x, 7, b/y)", a__x=1.0, b__y=math.nan) == 7.0


def test_a_column_that_is_not_given_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Expression.parse("a/b").evaluate({})


def test_equal_texts_make_equal_expressions() -> None:
    assert Expression.parse(f"{A} * 2") == Expression.parse(f"{A} * 2")


@given(columns)
def test_rows_are_independent_and_follow_arithmetic(rows: list[tuple[float, float]]) -> None:
    a, b = (np.array(column) for column in zip(*rows, strict=True))
    result = Expression.parse(f"2 * ({A} - {B}) + max({A}, {B})").evaluate({A: a, B: b})
    assert result.shape == a.shape
    np.testing.assert_allclose(result, [2 * (x - y) + max(x, y) for x, y in rows])


@given(st.sampled_from([f"{A} {sign} {B}" for sign in "+-*/"] + [f"min({A}, {B})", f"avg({A}, {B})"]), finite)
def test_missing_in_missing_out(text: str, present: float) -> None:
    result = Expression.parse(text).evaluate(
        {A: np.array([math.nan, present]), B: np.array([present, math.nan])}
    )
    assert np.isnan(result).all()


@given(st.text(alphabet="ab/-+*(),. 1", max_size=20))
def test_any_text_is_either_an_expression_or_an_error_inside_the_text(text: str) -> None:
    try:
        names, column = Expression.parse(text).names, 1
    except ExpressionError as problem:
        names, column = ("refused",), problem.column
    assert names
    assert 1 <= column <= len(text) + 1


nested = st.recursive(
    st.sampled_from([A, B, "3", "0.5"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(st.sampled_from(["min", "max", "sum"]), inner, inner).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]})"
        ),
    ),
    max_leaves=8,
)


@given(nested, finite, finite)
def test_agrees_with_a_plain_evaluation_of_the_same_formula(text: str, a: float, b: float) -> None:
    try:
        expected = _plainly(text, a, b)
    except ZeroDivisionError:
        return
    if not any(name in text for name in (A, B)):
        return
    result = Expression.parse(text).evaluate({A: np.array([a]), B: np.array([b])})[0]
    assert result == pytest.approx(expected, rel=1e-9, nan_ok=True)


def _plainly(text: str, a: float, b: float) -> float:
    scope = {"min": min, "max": max, "sum": lambda x, y: x + y, "a": a, "b": b}
    assert set(scope) - {"a", "b"} <= set(FUNCTIONS)
    return float(eval(text.replace(A, "a").replace(B, "b"), {"__builtins__": {}}, scope))  # noqa: S307
