"""ReadPropertyMultiple without object trees: our encoded request in, the answer's octets out.

bacpypes3 builds and takes apart a tree of Python objects for every property, about 250 us a point. Here
a request goes into its application already encoded, and the answer is handed over before it is decoded.
Invoke ids, retries, time-outs and segmentation stay bacpypes3's.

This leans on the library's internals, so it is pinned to the versions it was tested with; with another
one the driver says so in its log and uses the library's own path (stock.py). A test compares the two.
"""

from __future__ import annotations

import logging
from typing import Any

from bacpypes3.apdu import ComplexAckPDU, ConfirmedRequestPDU
from bacpypes3.comm import ServiceAccessPoint

from drivers.bacnet.codec import Answer
from drivers.bacnet.plan import ReadRequest

TESTED = frozenset({"0.0.110"})
"""Versions of bacpypes3 against which tests/drivers/bacnet compared this file with stock.py."""

READ_PROPERTY_MULTIPLE = 14

_log = logging.getLogger(__name__)


class EncodedRead(ConfirmedRequestPDU):  # type: ignore[misc]
    """A ReadPropertyMultiple whose parameters are already octets; its answer is wanted as octets too."""

    def __init__(self, destination: Any, payload: bytes) -> None:
        super().__init__(READ_PROPERTY_MULTIPLE, destination=destination)
        self.put_data(payload)


class FastReader:
    """Reads through `app` with flat decoding; make it with `install`."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def read(self, address: Any, request: ReadRequest, *, trace: bool = False) -> Answer:
        """Raises GarbledAnswer, and the library's ErrorRejectAbortNack."""
        answer = await self._app.request(EncodedRead(address, request.payload))
        return request.decoder.decode(bytes(answer.pduData), trace=trace)


def install(app: Any, version: str) -> FastReader | None:
    """Let `app` pass answers to our reads on undecoded; None (and a log line) for an untested version."""
    if version not in TESTED:
        _log.warning(
            "bacpypes3 %s is untested with the fast path (tested: %s): polling the slower, standard way",
            version,
            ", ".join(sorted(TESTED)),
        )
        return None
    access_point = app.asap
    stock = access_point.sap_response

    async def sap_response(apdu: Any) -> None:
        if type(apdu) is ComplexAckPDU and _answers_ours(app, apdu):
            await ServiceAccessPoint.sap_response(access_point, apdu)
        else:
            await stock(apdu)

    access_point.sap_response = sap_response
    return FastReader(app)


def _answers_ours(app: Any, apdu: Any) -> bool:
    if apdu.apduService != READ_PROPERTY_MULTIPLE:
        return False
    for request, _ in app._requests.get(apdu.pduSource, ()):
        if request.apduInvokeID == apdu.apduInvokeID:
            return isinstance(request, EncodedRead)
    return False
