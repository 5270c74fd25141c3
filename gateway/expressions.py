"""Arithmetic over points: how a role is made of meters ("main-meter/energy_import - ev/energy * 0.5").

Grammar, with the usual precedence:

    sum      = product { ("+" | "-") product }
    product  = unary { ("*" | "/") unary }
    unary    = ["-"] unary | NUMBER | REFERENCE | "(" sum ")" | FUNCTION "(" sum { "," sum } ")"

A REFERENCE is `device/point` written without spaces. Names are letters, digits and `_`, with single `-` or
`.` inside them, and start with a letter or `_`. So `-` and `/` may belong to a name: a minus or division sign
next to a reference must have a space on both sides. `a/b-c/d` is an error that says so, never a guess.

Text becomes a short postfix program once; evaluating runs it on whole columns. There is no eval().
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

NAME = r"[A-Za-z_][A-Za-z0-9_]*(?:[-.][A-Za-z0-9_]+)*"
"""What a device or a point may be called, as a regular expression."""

MAX_DEPTH = 50
"""Deepest nesting of parentheses: more is a mistake, and would exhaust the interpreter's stack."""

_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<ref>{NAME}/{NAME})|(?P<name>{NAME})"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<sign>[-+*/(),])"
)


class ExpressionError(ValueError):
    """The text is no expression. column: 1-based position in the text; hint: what to write instead."""

    def __init__(self, message: str, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _Function:
    """A function over columns and how many arguments it takes (most None = any number)."""

    call: Callable[..., Column]
    least: int
    most: int | None


def _divide(a: Column, b: Column) -> Column:
    """a / b; NaN where b is 0: a ratio without a denominator is missing, never infinite."""
    return np.where(b == 0, np.nan, np.divide(a, b))


def _add(first: Column, *rest: Column) -> Column:
    total = first
    for column in rest:
        total = total + column
    return total


def _fold(operation: Callable[[Column, Column], Column]) -> Callable[..., Column]:
    def fold(first: Column, *rest: Column) -> Column:
        result = first
        for column in rest:
            result = operation(result, column)
        return result

    return fold


def _where(condition: Column, then: Column, otherwise: Column) -> Column:
    """`then` where the condition is not 0, else `otherwise`; missing where the condition is missing."""
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, then, otherwise))


def _clip(x: Column, low: Column, high: Column) -> Column:
    return np.minimum(np.maximum(x, low), high)


FUNCTIONS: Mapping[str, _Function] = {
    "min": _Function(_fold(np.minimum), 1, None),
    "max": _Function(_fold(np.maximum), 1, None),
    "sum": _Function(_add, 1, None),
    "avg": _Function(lambda *columns: _add(*columns) / len(columns), 1, None),
    "abs": _Function(np.abs, 1, 1),
    "clip": _Function(_clip, 3, 3),
    "where": _Function(_where, 3, 3),
}
"""Missing in, missing out: NaN in any argument that matters makes the result NaN."""

_OPERATORS: Mapping[str, Callable[..., Column]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": _divide,
    "neg": np.negative,
}


class _Apply(NamedTuple):
    """Take `n` columns from the stack, put the result of `operation` there."""

    operation: str
    n: int


_Step = float | str | _Apply
"""One step of the program: push a number, push a reference's column, or apply."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression. names: the 'device/point' references, each once, in order of appearance."""

    text: str
    names: tuple[str, ...]
    program: tuple[_Step, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `text`; raises ExpressionError with the column of what is wrong."""
        program = _Parser(text).program()
        names = tuple(dict.fromkeys(step for step in program if isinstance(step, str)))
        if not names:
            raise ExpressionError("the expression names no point", 1, "write a point as device/point")
        return cls(text, names, program)

    def evaluate(self, columns: Mapping[str, Column]) -> Column:
        """The expression on columns of one length, by reference; NaN where any needed value is NaN.

        Division by zero gives NaN; overflow too, so that a result is a finite number or missing.
        Raises KeyError when a column of `names` is not given.
        """
        stack: list[Column] = []
        with np.errstate(all="ignore"):
            for step in self.program:
                if isinstance(step, float):
                    stack.append(np.asarray(step))
                elif isinstance(step, str):
                    stack.append(columns[step])
                else:
                    arguments = stack[-step.n :]
                    del stack[-step.n :]
                    stack.append(_operation(step.operation)(*arguments))
        (result,) = stack
        return np.where(np.isfinite(result), result, np.nan).astype(np.float64)


def _operation(name: str) -> Callable[..., Column]:
    return _OPERATORS[name] if name in _OPERATORS else FUNCTIONS[name].call


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    """0-based position in the text."""


class _Parser:
    """Recursive descent; every rule appends its steps to one postfix program."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokenize(text)
        self._at = 0
        self._depth = 0
        self._steps: list[_Step] = []

    def program(self) -> tuple[_Step, ...]:
        self._sum()
        token = self._tokens[self._at]
        if token.kind != "end":
            raise _error(f"expected an operator before '{token.text}'", token)
        return tuple(self._steps)

    def _sum(self) -> None:
        self._product()
        while (token := self._tokens[self._at]).text in ("+", "-"):
            self._at += 1
            self._product()
            self._steps.append(_Apply(token.text, 2))

    def _product(self) -> None:
        self._unary()
        while (token := self._tokens[self._at]).text in ("*", "/"):
            self._at += 1
            self._unary()
            self._steps.append(_Apply(token.text, 2))

    def _unary(self) -> None:
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "number":
            self._steps.append(float(token.text))
        elif token.kind == "ref":
            self._steps.append(token.text)
        elif token.kind == "name":
            self._call(token)
        elif token.text == "-":
            self._nested(self._unary, token)
            self._steps.append(_Apply("neg", 1))
        elif token.text == "(":
            self._nested(self._sum, token)
            self._expect(")")
        elif token.kind == "end":
            raise _error("the expression ends too early", token)
        else:
            raise _error(f"unexpected '{token.text}'", token)

    def _call(self, name: _Token) -> None:
        function = FUNCTIONS.get(name.text)
        if self._tokens[self._at].text != "(" or function is None:
            hint = f"points are written device/point; functions are {', '.join(FUNCTIONS)}"
            raise _error(f"'{name.text}' is neither a point nor a function", name, hint)
        count = 0
        while self._tokens[self._at].text in ("(", ","):
            self._at += 1
            self._nested(self._sum, name)
            count += 1
            if self._tokens[self._at].text not in (",", ")"):
                break
        self._expect(")")
        if count < function.least or (function.most is not None and count > function.most):
            raise _error(f"{name.text}() takes {function.least} argument(s), not {count}", name)
        self._steps.append(_Apply(name.text, count))

    def _nested(self, rule: Callable[[], None], token: _Token) -> None:
        if self._depth == MAX_DEPTH:
            raise _error(f"nested more than {MAX_DEPTH} deep", token)
        self._depth += 1
        rule()
        self._depth -= 1

    def _expect(self, sign: str) -> None:
        token = self._tokens[self._at]
        if token.text != sign or token.kind != "sign":
            found = f"'{token.text}'" if token.text else "the end"
            raise _error(f"expected '{sign}', found {found}", token)
        self._at += 1


def _tokenize(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"unexpected character {text[at]!r}", at + 1)
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match.group(), at))
        at = match.end()
    _demand_spaces(tokens)
    return [*(token for token in tokens if token.kind != "space"), _Token("end", "", len(text))]


def _demand_spaces(tokens: list[_Token]) -> None:
    """Refuse what could be read two ways: '-' or '/' at the end of a name, '/' at the start of one."""
    for index, sign in enumerate(tokens):
        if sign.text not in ("-", "/"):
            continue
        before = tokens[index - 1].kind if index else ""
        after = tokens[index + 1].kind if index + 1 < len(tokens) else ""
        if before in ("ref", "name") or (sign.text == "/" and after in ("ref", "name")):
            what = "minus" if sign.text == "-" else "division"
            hint = (
                "put spaces around every '-' and '/' between points, as in a/b - c/d: names may contain '-'"
            )
            raise _error(f"a {what} sign that touches a point's name is ambiguous", sign, hint)


def _error(message: str, token: _Token, hint: str = "") -> ExpressionError:
    return ExpressionError(message, token.start + 1, hint)
