"""A Modbus server that is not ours: Debian's libmodbus, driven through ctypes in a process of its own.

    python libmodbus_server.py tcp PORT
    python libmodbus_server.py rtu TTY

Holding register n holds 3 n, input register n holds 1000 + n, coil n is on where 3 divides n, discrete input
n where n is odd; 300 of each. It prints "ready" once it listens.
"""

from __future__ import annotations

import ctypes
import select
import sys

COUNT = 300
UNIT = 1
_LONGEST = 260


class Mapping(ctypes.Structure):
    """modbus_mapping_t of libmodbus 3.1."""

    _fields_ = (
        *((name, ctypes.c_int) for name in (
            "nb_bits", "start_bits", "nb_input_bits", "start_input_bits", "nb_input_registers",
            "start_input_registers", "nb_registers", "start_registers",
        )),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    )  # fmt: skip


def library() -> ctypes.CDLL:
    lib = ctypes.CDLL("libmodbus.so.5")
    for name in ("modbus_new_tcp", "modbus_new_rtu"):
        getattr(lib, name).restype = ctypes.c_void_p
    lib.modbus_mapping_new.restype = ctypes.POINTER(Mapping)
    return lib


def mapping(lib: ctypes.CDLL) -> ctypes._Pointer[Mapping]:
    made = lib.modbus_mapping_new(COUNT, COUNT, COUNT, COUNT)
    for n in range(COUNT):
        made.contents.tab_bits[n] = n % 3 == 0
        made.contents.tab_input_bits[n] = n % 2
        made.contents.tab_input_registers[n] = 1000 + n
        made.contents.tab_registers[n] = 3 * n
    return made


def answer(lib: ctypes.CDLL, context: ctypes.c_void_p, registers: ctypes._Pointer[Mapping]) -> bool:
    """One request; False when the peer is gone."""
    query = (ctypes.c_uint8 * _LONGEST)()
    received = lib.modbus_receive(context, query)
    if received > 0:
        lib.modbus_reply(context, query, received, registers)
    return bool(received >= 0)


def serve_tcp(lib: ctypes.CDLL, port: int) -> None:
    context = ctypes.c_void_p(lib.modbus_new_tcp(b"127.0.0.1", port))
    registers = mapping(lib)
    listening = lib.modbus_tcp_listen(context, 16)
    print("ready", flush=True)  # noqa: T201
    connections: set[int] = set()
    while True:
        for descriptor in select.select([listening, *connections], [], [])[0]:
            if descriptor == listening:
                accepting = ctypes.c_int(listening)
                connections.add(lib.modbus_tcp_accept(context, ctypes.byref(accepting)))
                continue
            lib.modbus_set_socket(context, descriptor)
            if not answer(lib, context, registers):
                lib.modbus_close(context)
                connections.discard(descriptor)


def serve_rtu(lib: ctypes.CDLL, tty: str) -> None:
    context = ctypes.c_void_p(lib.modbus_new_rtu(tty.encode(), 19200, ctypes.c_char(b"N"), 8, 1))
    lib.modbus_set_slave(context, UNIT)
    registers = mapping(lib)
    if lib.modbus_connect(context) != 0:
        sys.exit(f"{tty} cannot be opened")
    print("ready", flush=True)  # noqa: T201
    while True:
        answer(lib, context, registers)


if __name__ == "__main__":
    if sys.argv[1] == "tcp":
        serve_tcp(library(), int(sys.argv[2]))
    else:
        serve_rtu(library(), sys.argv[2])
