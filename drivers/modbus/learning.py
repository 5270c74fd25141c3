"""What to conclude from refusals: pure, from one round of answers to what is known of the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivers.modbus.errors import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ExceptionAnswer, RequestError
from drivers.modbus.plan import Learned, Plan, ReadBlock, Span, fence_for, span_of

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
