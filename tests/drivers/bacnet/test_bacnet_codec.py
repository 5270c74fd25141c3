"""Answers are decoded as bacpypes3 encodes them, and rubbish is recognised."""

from __future__ import annotations

import math
import time

import pytest
from bacpypes3.apdu import APCISequence, ComplexAckPDU, ReadPropertyMultipleACK
from bacpypes3.basetypes import (
    ErrorType,
    ReadAccessResult,
    ReadAccessResultElement,
    ReadAccessResultElementChoice,
    StatusFlags,
)
from bacpypes3.primitivedata import (
    Boolean,
    CharacterString,
    Date,
    Double,
    Enumerated,
    Integer,
    Null,
    ObjectIdentifier,
    Real,
    Unsigned,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bacnet.codec import (
    AnswerDecoder,
    GarbledAnswer,
    State,
    encode_references,
    parse_answer,
    tagged_number,
)
from drivers.bacnet.plan import Reference

REFERENCES = [Reference(0, i, 85) for i in range(40)]

plain = st.one_of(
    st.floats(width=32, allow_nan=False).map(Real),
    st.floats(allow_nan=False).map(Double),
    st.integers(0, 2**32 - 1).map(Unsigned),
    st.integers(-(2**31), 2**31 - 1).map(Integer),
    st.booleans().map(Boolean),
    st.integers(0, 2**32 - 1).map(Enumerated),
)
others = st.one_of(
    st.just(Null(())),
    st.text(max_size=300).map(CharacterString),
    st.just(Date((126, 1, 2, 5))),
    st.tuples(st.integers(0, 7), st.integers(0, 255)).map(
        lambda error: ErrorType(errorClass=error[0], errorCode=error[1])
    ),
)


def _encode(values):
    """An answer with these values for REFERENCES, by the library."""
    results = []
    for reference, value in zip(REFERENCES, values, strict=False):
        wanted = {"propertyAccessError": value} if isinstance(value, ErrorType) else {"propertyValue": value}
        element = ReadAccessResultElement(
            propertyIdentifier=85, readResult=ReadAccessResultElementChoice(**wanted)
        )
        results.append(
            ReadAccessResult(
                objectIdentifier=ObjectIdentifier((reference.object_type, reference.instance)),
                listOfResults=[element],
            )
        )
    return bytes(ReadPropertyMultipleACK(listOfReadAccessResults=results).encode().pduData)


def _number(value):
    return (
        float(value)
        if isinstance(value, Real | Double | Unsigned | Integer | Boolean | Enumerated)
        else math.nan
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(plain, others), min_size=1, max_size=20))
def test_numbers_come_out_as_they_went_in(values):
    answer = AnswerDecoder(REFERENCES[: len(values)]).decode(_encode(values))
    for value, got, state in zip(values, answer.value, answer.state, strict=True):
        expected = _number(value)
        if math.isnan(expected):
            assert math.isnan(got)
            assert state != State.VALUE
        else:
            assert got == expected
            assert state == State.VALUE


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(plain, plain), min_size=1, max_size=10))
def test_a_decoder_that_knows_a_shape_decodes_like_a_new_one(pairs):
    references = REFERENCES[: len(pairs)]
    used = AnswerDecoder(references)
    for values in zip(*pairs, strict=True):
        payload = _encode(values)
        assert used.decode(payload).value.tolist() == AnswerDecoder(references).decode(payload).value.tolist()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_rubbish_is_garbled_and_nothing_else(data):
    try:
        fields = list(parse_answer(data))
    except GarbledAnswer:
        return
    assert data == b"" or all(0 < field.start <= field.end < len(data) for field in fields)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_cut_answer_is_garbled(data):
    payload = _encode([Real(1.5), CharacterString("x"), Unsigned(7)])
    cut = data.draw(st.integers(1, len(payload) - 1))
    decoder = AnswerDecoder(REFERENCES[:3])
    decoder.decode(payload)
    if cut in (16, 30):  # after a whole result
        assert State.MISSING in decoder.decode(payload[:cut]).state
    else:
        with pytest.raises(GarbledAnswer):
            decoder.decode(payload[:cut])


def test_results_in_another_order_find_their_references():
    payload = _encode([Real(1.0), Real(2.0), Real(3.0)])
    turned = [REFERENCES[2], REFERENCES[0], REFERENCES[1]]
    assert AnswerDecoder(turned).decode(payload).value.tolist() == [3.0, 1.0, 2.0]


def test_a_reference_that_is_left_out_is_missing():
    answer = AnswerDecoder(REFERENCES[:3]).decode(_encode([Real(1.0), Real(2.0)]))
    assert answer.state.tolist() == [State.VALUE, State.VALUE, State.MISSING]


def test_errors_keep_their_class_and_code():
    error = ErrorType(errorClass="object", errorCode="unknownObject")
    answer = AnswerDecoder(REFERENCES[:2]).decode(_encode([Real(1.0), error]))
    assert answer.errors == {1: (1, 31)}


def test_status_flags_give_their_octet():
    answer = AnswerDecoder(REFERENCES[:1]).decode(_encode([StatusFlags([0, 1, 0, 1])]))
    assert answer.value.tolist() == [float(0x50)]


def test_a_trace_shows_the_tagged_octets():
    answer = AnswerDecoder(REFERENCES[:2]).decode(_encode([Real(1.5), Boolean(True)]), trace=True)
    assert answer.raw == {0: "443fc00000", 1: "11"}


def test_array_elements_are_asked_for_by_index():
    assert encode_references([Reference(1, 3, 87, 8)]).hex(" ") == "0c 00 40 00 03 1e 09 57 19 08 1f"


@pytest.mark.parametrize(
    ("tag", "content", "number"),
    [
        (1, b"\x01", 1.0),
        (2, b"\x01\x00", 256.0),
        (3, b"\xff", -1.0),
        (4, b"\x3f\xc0\x00\x00", 1.5),
        (7, b"\x00A", None),
    ],
)
def test_single_tagged_values(tag, content, number):
    assert tagged_number(tag, content) == number


def test_numbers_wider_than_the_librarys_own_are_decoded():
    head, tail = bytes.fromhex("0c000000001e29554e"), bytes.fromhex("4f1f")
    unsigned = bytes.fromhex("2506") + (10**12).to_bytes(6, "big")
    signed = bytes.fromhex("3505") + (-(10**10)).to_bytes(5, "big", signed=True)
    decoder = AnswerDecoder(REFERENCES[:1])
    assert decoder.decode(head + unsigned + tail).value.tolist() == [1e12]
    assert decoder.decode(head + signed + tail).value.tolist() == [-1e10]


def test_a_list_is_not_a_number_and_the_rest_is_found_behind_it():
    two_reals = bytes.fromhex("0c000000001e29574e 443fc00000 00 4f 29554e 4440000000 4f1f")
    answer = AnswerDecoder([Reference(0, 0, 87), Reference(0, 0, 85)]).decode(two_reals)
    assert answer.state.tolist() == [State.NOT_A_NUMBER, State.VALUE]
    assert answer.value[1] == 2.0


def test_decoding_costs_a_fraction_of_the_librarys_decoder():
    payload = _encode([Real(float(i)) for i in range(40)])
    decoder = AnswerDecoder(REFERENCES)
    decoder.decode(payload)

    def library():
        ack = ComplexAckPDU(service_choice=14)
        ack.put_data(payload)
        return APCISequence.decode(ack)

    def cpu_seconds(work, times):
        start = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - start) / times

    assert cpu_seconds(lambda: decoder.decode(payload), 200) < 0.25 * cpu_seconds(library, 10)
