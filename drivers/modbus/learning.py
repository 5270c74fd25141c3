"""What to conclude from refusals: pure, from one round of answers to what is known of the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from drivers.modbus.errors import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ExceptionAnswer, RequestError
from drivers.modbus.plan import Learned, Plan, ReadBlock, Span, fence_for, span_of
from drivers.modbus.settings import Table

Answer = bytes | RequestError
Answers = Mapping[Span, Answer]
"""What each request of a poll brought, by `ReadBlock.key`."""


def conclude(plan: Plan, answers: Answers, learned: Learned) -> Learned:
    """What is known after these answers; the same object when they taught nothing.

    A block with an illegal address is split; a single point that is refused is a hole. An illegal value
    for a block longer than its points need is a length limit. Every conclusion makes some block smaller,
    so asking again comes to an end.
    """
    for block in plan.blocks:
        answer = answers.get(block.key)
        if not isinstance(answer, ExceptionAnswer):
            continue
        if answer.exception == ILLEGAL_VALUE:
            learned = _shorter(block, plan, learned)
        elif answer.exception == ILLEGAL_ADDRESS:
            learned = _split(block, plan, learned)
    return learned


def settle(before: Learned, after: Learned, answers: Answers) -> Learned:
    """What is worth remembering when a poll's splitting is done.

    A hole explains why the blocks around it were refused: their fences served to find it and are dropped,
    for a hole is a fence itself. What was refused without a hole keeps its fence: its gap is illegal.
    """
    found = after.holes - before.holes
    refused = [span for span, answer in answers.items() if isinstance(answer, ExceptionAnswer)]
    dropped = {
        (table, fence)
        for table, fence in after.fences - before.fences
        if _explained(min((s for s in refused if _reaches_across(s, table, fence)), key=_length), found)
    }
    return replace(after, fences=after.fences - dropped)


def _reaches_across(span: Span, table: Table, fence: int) -> bool:
    return span[0] is table and span[1] < fence < span[1] + span[2]


def _explained(refused: Span, holes: frozenset[Span]) -> bool:
    table, start, count = refused
    return any(hole[0] is table and start <= hole[1] < start + count for hole in holes)


def _length(span: Span) -> int:
    return span[2]


def _shorter(block: ReadBlock, plan: Plan, learned: Learned) -> Learned:
    if fence_for(block, plan) is None:
        return learned
    return learned.limited(block.table, min(learned.limit(block.table), max(1, block.count // 2)))


def _split(block: ReadBlock, plan: Plan, learned: Learned) -> Learned:
    fence = fence_for(block, plan)
    if fence is None:
        return learned.missing(_spans(block, plan))
    return learned.fenced(block.table, fence)


def _spans(block: ReadBlock, plan: Plan) -> Sequence[Span]:
    return [span_of(plan.settings[row]) for row in block.rows]
