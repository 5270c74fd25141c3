"""Certificates of Modbus over TLS: whom to believe, who we are, and what went wrong in words."""

from __future__ import annotations

import ssl
from pathlib import Path

from drivers.base import LinkError
from drivers.modbus.errors import Distrusted, NotConnected
from drivers.modbus.settings import TlsSettings

CLOSED_AT_ONCE = "closed the encrypted connection before any answer: it may not accept our certificate"
"""Some devices (and every server on asyncio) do not say why they hang up after the handshake."""
_ABOUT_CERTIFICATES = ("CERTIFICATE", "UNKNOWN_CA", "CERT_")


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """A context that verifies the peer, its name too. Reads files. Raises LinkError."""
    for path in (settings.ca, settings.cert, settings.key):
        if path is not None and not path.is_file():
            raise LinkError(f"tls: {path}: there is no such file")
    try:
        context = ssl.create_default_context(cafile=_text(settings.ca))
        if settings.cert is not None:
            context.load_cert_chain(settings.cert, settings.key)
    except (ssl.SSLError, OSError) as error:
        where = settings.cert if settings.cert is not None else settings.ca
        raise LinkError(f"tls: {where} cannot be used: {error}") from error
    return context


def handshake_failure(peer: str, error: ssl.SSLError) -> NotConnected:
    """Why there is no encrypted connection, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Distrusted(f"the certificate of {peer} is not trusted: {error.verify_message.rstrip('.')}")
    if is_about_certificate(error):
        return Distrusted(f"{peer} does not accept our certificate: {_reason(error)}")
    return NotConnected(f"no encrypted connection to {peer}: {_reason(error)}")


def is_about_certificate(error: BaseException | None) -> bool:
    """Whether the peer broke off because of our certificate. With TLS 1.3 it shows at the first answer."""
    return isinstance(error, ssl.SSLError) and any(
        word in (error.reason or "").upper() for word in _ABOUT_CERTIFICATES
    )


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
