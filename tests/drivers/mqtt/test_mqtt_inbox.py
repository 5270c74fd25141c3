"""The inbox between paho's thread and the event loop: bounded, and QoS decides who waits."""

from __future__ import annotations

import threading

from drivers.mqtt.inbox import Inbox, Message


def message(payload: bytes | None = b"x", qos: int = 0) -> Message:
    return Message("t", payload, len(payload or b""), qos, 1, False, 0, 1)


def test_notifies_once_until_it_is_emptied() -> None:
    calls: list[int] = []
    inbox = Inbox(lambda: calls.append(1))
    for _ in range(3):
        inbox.put(message())
    assert len(calls) == 1
    assert len(inbox.take()) == 3
    inbox.put(message())
    assert len(calls) == 2


def test_full_inbox_drops_qos_0_and_counts_it() -> None:
    inbox = Inbox(lambda: None, max_messages=2)
    assert [inbox.put(message()) for _ in range(4)] == [True, True, False, False]
    assert inbox.counts.dropped == 2
    assert inbox.counts.received == 4


def test_bytes_bound_it_too_but_one_message_always_fits() -> None:
    inbox = Inbox(lambda: None, max_bytes=10)
    assert inbox.put(message(b"x" * 20))
    assert not inbox.put(message(b"x"))


def test_full_inbox_makes_qos_1_wait_for_room() -> None:
    inbox = Inbox(lambda: None, max_messages=1)
    inbox.put(message(b"first", qos=1))
    thread = threading.Thread(target=inbox.put, args=(message(b"second", qos=1),))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    assert [m.payload for m in inbox.take()] == [b"first"]
    thread.join(2)
    assert [m.payload for m in inbox.take()] == [b"second"]
    assert inbox.counts.dropped == 0


def test_closing_lets_the_waiting_thread_go() -> None:
    inbox = Inbox(lambda: None, max_messages=1)
    inbox.put(message(qos=1))
    thread = threading.Thread(target=inbox.put, args=(message(qos=1),))
    thread.start()
    inbox.close()
    thread.join(2)
    assert not thread.is_alive()
