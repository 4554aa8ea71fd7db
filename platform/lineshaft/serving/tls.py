"""Encryption of connections: the server's certificate, whom it lets in by certificate, and what a client trusts."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from lineshaft.errors import EnvironmentFault, InputError
from lineshaft.serving.addresses import is_local

_LOG = logging.getLogger(__name__)
SYSTEM = "system"
"""As a client's `ca`: the authorities that this machine trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files of a server. With `client_ca`, only callers with a certificate of that authority get a connection."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> Any:
        """Return gRPC's credentials; files that change are read again at the next connection.

        Raises `EnvironmentFault` for files that cannot be used now. Later, the last good ones stay in use.
        """
        watched = _Watched(self)
        return grpc.dynamic_ssl_server_credentials(watched.read(), watched.changed, self.client_ca is not None)

    def context(self) -> ssl.SSLContext:
        """Return the same for HTTP, by the same rules."""
        watched = _Watched(self)
        watched.read()
        used = [self._context()]

        def chosen(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            if watched.changed() is not None:
                used[0] = self._context()
            connection.context = used[0]

        first = self._context()
        first.sni_callback = chosen  # called for each new connection, whether it names a server or not
        return first

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if self.client_ca is not None:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def files(self) -> tuple[Path, ...]:
        """Return its files."""
        return (self.cert, self.key) if self.client_ca is None else (self.cert, self.key, self.client_ca)


class _Watched:
    """The files of a `Tls`, and how they looked when they were last read."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._seen = self._look()

    def read(self) -> Any:
        """Return what the files hold, or raise `EnvironmentFault`; a key must be the certificate's."""
        tls = self._tls
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password=_no_password)
            if tls.client_ca is not None:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(tls.client_ca)
            authorities = tls.client_ca.read_bytes() if tls.client_ca is not None else None
            pair = (tls.key.read_bytes(), tls.cert.read_bytes())
        except (OSError, ValueError) as error:
            what = f"the TLS files cannot be used: {error.strerror if isinstance(error, OSError) else error}"
            where = ", ".join(str(file) for file in tls.files())
            fix = "give PEM files: a certificate, its own key without a password, and the authority of callers"
            raise EnvironmentFault(what, where=where, fix=fix) from error
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=authorities)

    def changed(self) -> Any:
        """Return what the files hold if they changed since, or None; called by gRPC for each new connection."""
        look = self._look()
        if look == self._seen:
            return None
        self._seen = look
        try:
            return self.read()
        except EnvironmentFault as fault:
            _LOG.warning("%s; the certificate read before stays in use", fault.what)
            return None

    def _look(self) -> list[tuple[int, int, int]]:
        """Return what tells a file from the one before it."""
        stats = [file.stat() if file.exists() else None for file in self._tls.files()]
        return [(s.st_ino, s.st_mtime_ns, s.st_size) if s is not None else (0, 0, 0) for s in stats]


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def channel(
    address: str,
    options: Sequence[tuple[str, Any]],
    *,
    ca: str | Path = "",
    cert: str | Path = "",
    key: str | Path = "",
) -> Any:
    """Return a client's channel: encrypted where an authority is given, the machine's own by `ca="system"`.

    Raises `InputError` for a certificate without its key or without an authority, and for files that cannot be read.
    """
    if bool(cert) != bool(key) or (cert and not ca):
        raise InputError("a client's certificate needs its key and the server's authority", fix="give ca, cert and key")
    if not ca:
        return grpc.insecure_channel(address, options)
    try:
        roots = None if ca == SYSTEM else Path(ca).read_bytes()
        pair = (Path(key).read_bytes(), Path(cert).read_bytes()) if cert else (None, None)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}", fix="give PEM files") from error
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots, *pair), options)


def bearer(address: str, token: str, *, encrypted: bool) -> tuple[tuple[str, str], ...]:
    """Return the metadata that presents a token; raises `InputError` for what is none, or may be read on its way."""
    if not token:
        return ()
    if not (token.isascii() and token.isprintable()):
        what = "the token holds a line end, or another character that no token has"
        raise InputError(what, fix="give it as it was shown, without what stands around it")
    if not encrypted and not is_local(address):
        raise InputError(
            "the token would travel where others can read it",
            where=address,
            fix='give ca="ca.pem", or ca="system" for a certificate of a public authority',
        )
    return (("authorization", f"Bearer {token}"),)
