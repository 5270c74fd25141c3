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

    A block with an illegal address is split; a single point that is refused is a hole. An illegal value for
    several points is a length limit, for a single one a hole too: some devices say so. Every conclusion makes
    some block smaller, so asking again comes to an end.
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
    """What is worth remembering when a poll's splitting is done: the causes, not the way to them.

    A refusal is explained by a hole inside the refused span, for a hole is a fence itself; or by a fence that
    a shorter refused span proved. Fences and length limits that only served to find those are dropped. What
    was refused without a hole keeps its fence: the gap there is illegal.
    """
    found = after.holes - before.holes
    refused = {
        span: answer.exception for span, answer in answers.items() if isinstance(answer, ExceptionAnswer)
    }
    across = [
        (min((span for span in refused if _reaches_across(span, *fence)), key=_length), fence)
        for fence in after.fences - before.fences
    ]
    proved: set[tuple[Table, int]] = set()
    for span, fence in sorted(across, key=lambda pair: (_length(pair[0]), pair[1])):
        if not _explained(span, found) and not any(_reaches_across(span, *known) for known in proved):
            proved.add(fence)
    settled = replace(after, fences=before.fences | proved)
    too_long = [span for span, exception in refused.items() if exception == ILLEGAL_VALUE]
    if all(_explained(span, found) for span in too_long):
        settled = replace(settled, max_registers=before.max_registers, max_bits=before.max_bits)
    return settled


def _reaches_across(span: Span, table: Table, fence: int) -> bool:
    return span[0] is table and span[1] < fence < span[1] + span[2]


def _explained(refused: Span, holes: frozenset[Span]) -> bool:
    table, start, count = refused
    return any(hole[0] is table and start <= hole[1] < start + count for hole in holes)


def _length(span: Span) -> int:
    return span[2]


def _shorter(block: ReadBlock, plan: Plan, learned: Learned) -> Learned:
    if fence_for(block, plan) is None:
        return learned.missing(_spans(block, plan))
    return learned.limited(block.table, min(learned.limit(block.table), max(1, block.count // 2)))


def _split(block: ReadBlock, plan: Plan, learned: Learned) -> Learned:
    fence = fence_for(block, plan)
    if fence is None:
        return learned.missing(_spans(block, plan))
    return learned.fenced(block.table, fence)


def _spans(block: ReadBlock, plan: Plan) -> Sequence[Span]:
    return [span_of(plan.settings[row]) for row in block.rows]
