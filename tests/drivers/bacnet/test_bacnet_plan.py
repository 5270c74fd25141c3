"""Points become few requests, and every point comes back to its own row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.bacnet.names import STATUS_FLAGS
from drivers.bacnet.plan import Reference, build_plan, reference_of
from drivers.bacnet.settings import PointSettings
from drivers.base import Point


def _points(objects):
    return [
        Point(series, "d", f"p{series}", PointSettings(object=o), "temperature", "degC", "degC")
        for series, o in enumerate(objects)
    ]


objects = st.lists(
    st.tuples(st.sampled_from(["analog-input", "analog-value", "binary-input"]), st.integers(0, 40)),
    max_size=120,
).map(lambda pairs: [f"{kind},{instance}" for kind, instance in pairs])


@given(objects, st.integers(1, 60), st.booleans(), st.sets(st.integers(0, 119)))
def test_every_point_is_asked_for_once_and_finds_its_value(wanted, max_batch, status_flags, apart):
    points = _points(wanted)
    ill = {reference_of(points[row].source) for row in apart if row < len(points)}
    plan = build_plan(points, max_batch, status_flags=status_flags, apart=ill)
    rows = [row for request in plan for row in request.rows.tolist()]
    assert sorted(rows) == list(range(len(points)))
    for request in plan:
        assert len(request.rows) <= max_batch
        for row, place, flag in zip(request.rows, request.values, request.flags, strict=True):
            reference = request.references[place]
            assert reference == reference_of(points[row].source)
            assert (flag >= 0) == status_flags
            assert not status_flags or request.references[flag] == reference._replace(property=STATUS_FLAGS)


@given(objects, st.integers(2, 60))
def test_the_halves_of_a_request_ask_for_the_same_points(wanted, max_batch):
    points = _points(wanted)
    for request in build_plan(points, max_batch):
        halves = request.halves(points, status_flags=False)
        assert [row for half in halves for row in half.rows.tolist()] == request.rows.tolist()


def test_fifty_points_are_one_request():
    assert len(build_plan(_points([f"analog-input,{i}" for i in range(50)]), 50)) == 1


def test_refused_points_are_asked_for_apart():
    plan = build_plan(
        _points([f"analog-input,{i}" for i in range(6)]), 50, apart={Reference(0, 1, 85), Reference(0, 4, 85)}
    )
    assert [sorted(request.rows.tolist()) for request in plan] == [[0, 2, 3, 5], [1, 4]]


def test_two_points_on_one_object_share_a_reference():
    (request,) = build_plan(_points(["analog-input,1", "analog-input,1"]), 50)
    assert request.references == (Reference(0, 1, 85),)
    assert request.values.tolist() == [0, 0]


def test_the_request_is_encoded_as_the_standard_says():
    (request,) = build_plan(_points(["analog-input,1", "binary-value,2"]), 50, status_flags=True)
    assert request.payload.hex(" ") == "0c 00 00 00 01 1e 09 55 09 6f 1f 0c 01 40 00 02 1e 09 55 09 6f 1f"
