"""Trees into models: what pydantic refuses becomes a problem with a place and a remedy."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.errors import Place, Problems, split_hint, suggest
from gateway.config.schema import key_names, submodel
from gateway.config.tree import Node

M = TypeVar("M", bound=BaseModel)

_WANTED = {
    "int_parsing": "a whole number", "int_type": "a whole number", "int_from_float": "a whole number",
    "float_parsing": "a number", "float_type": "a number", "finite_number": "a finite number",
    "bool_parsing": "true or false", "bool_type": "true or false", "string_type": "a text",
    "dict_type": "a mapping", "model_type": "a mapping", "list_type": "a list", "tuple_type": "a list",
    "date_type": "a date", "date_parsing": "a date", "date_from_datetime_parsing": "a date",
    "date_from_datetime_inexact": "a date",
}  # fmt: skip
_HINTS = {
    "true or false": "write true or false",
    "a text": "put the value in quotes",
    "a date": "write a date that exists as YYYY-MM-DD",
    "a mapping": "write 'key: value' lines below it",
}
_PATTERN_HINTS = {
    "id": "use lower-case letters, digits, '-' and '_'",
    "country": "write the two-letter code, such as FR",
    "holidays": "write a country code, such as FR, or with its region, such as DE-BY",
    "url": "write it with its scheme, such as https://influx.example:8086",
}


def parse(model: type[M], node: Node, what: str, problems: Problems) -> M | None:
    """The node as a model; None when it has problems, which are noted. `what` begins their messages."""
    if node.mapping is None:
        found = "nothing" if node.value is None else f"'{node.value}'"
        problems.add(node.place, "type", f"{what}: expected a mapping, found {found}", _HINTS["a mapping"])
        return None
    try:
        return model.model_validate(node.plain())
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _note(model, node, what, dict(detail), problems)
        return None


def _note(model: type[BaseModel], node: Node, what: str, detail: dict[str, Any], problems: Problems) -> None:
    path: tuple[str | int, ...] = detail["loc"]
    kind, given, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    name = ".".join(str(step) for step in path)
    where = f"{what}: " if what else ""
    if kind == "extra_forbidden":
        place = node.place_of(path, key=True)
        known = allowed_keys(model, path)
        note_unknown_key(place, str(path[-1]), known, what, problems)
        return
    if kind == "missing":
        place = _place_of_owner(node, path)
        problems.add(place, "missing-key", f"{where}key '{name}' is missing", f"add '{path[-1]}: ...'")
        return
    place = node.place_of(path)
    if node.at(path).broken:
        return
    if node.at(path).secret:
        given = "***"
    if kind in ("value_error", "assertion_error"):
        message, hint = split_hint(str(context.get("error", detail["msg"])))
        problems.add(place, "value", f"{where}{message}", hint)
    elif kind in ("literal_error", "enum"):
        choices = [part.strip(" '") for part in str(context["expected"]).replace(" or ", ",").split(",")]
        message = f"{where}{name} '{given}' is not one of the choices"
        problems.add(place, "choice", message, suggest(str(given), choices, "choose from"))
    elif kind in _WANTED:
        wanted = _WANTED[kind]
        shown = "nothing" if given is None else repr(given) if isinstance(given, str) else str(given)
        problems.add(place, "type", f"{where}{name} must be {wanted}, not {shown}", _HINTS.get(wanted, ""))
    elif kind == "string_pattern_mismatch":
        hint = _PATTERN_HINTS.get(str(path[-1]) if path else "", f"it must match {context['pattern']}")
        problems.add(place, "value", f"{where}{name} '{given}' is not well formed", hint)
    else:
        problems.add(place, "value", f"{where}{name}: {detail['msg'][:1].lower()}{detail['msg'][1:]}")


def note_unknown_key(place: Place, key: str, known: frozenset[str], what: str, problems: Problems) -> None:
    where = f"{what}: " if what else ""
    hint = suggest(key, known, "keys here are") or "remove it"
    problems.add(place, "unknown-key", f"{where}unknown key '{key}'", hint)


def allowed_keys(model: type[BaseModel], path: tuple[str | int, ...]) -> frozenset[str]:
    """The keys that may stand beside the one at `path`."""
    current: type[BaseModel] = model
    for step in path[:-1]:
        by_key = {field.alias or name: field for name, field in current.model_fields.items()}
        field = by_key.get(str(step))
        inner = submodel(field.annotation) if field else None
        current = inner or current
    return key_names(current)


def _place_of_owner(node: Node, path: tuple[str | int, ...]) -> Place:
    """Where the mapping that lacks a key is named: its own key, else its beginning."""
    owner = node.at(path[:-1])
    return owner.named or owner.place
