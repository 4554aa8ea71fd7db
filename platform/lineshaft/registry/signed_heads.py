"""The ends of all chains, signed: kept elsewhere, they show that nothing was cut off or made up anew since.

A database and the notes beside it may be rewritten by whoever may write there; a file on another machine, in a mail or
on paper may not. The key (Ed25519) stays with this home; its public half goes where heads are verified.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lineshaft.errors import CorruptError, InputError
from lineshaft.registry.records import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeads:
    """What was true of every chain at a moment, by the chain's name."""

    at_us: int
    chains: Mapping[str, Head]
    public_key: str  # hex
    signature: str = ""  # hex, of all the rest

    def to_json(self) -> str:
        """Write them as one line."""
        return json.dumps({**_said(self), "signature": self.signature}, sort_keys=True)

    @staticmethod
    def from_json(text: str, *, trusted: str = "") -> SignedHeads:
        """Read signed heads, by a trusted public key (hex) where one is given.

        Raises `InputError` where they cannot be read, `CorruptError` where the signature is not of these words or the
        key is another.
        """
        try:
            raw = json.loads(text)
            chains = {str(n): Head(length=int(h["length"]), digest=str(h["digest"])) for n, h in raw["chains"].items()}
            found = SignedHeads(
                at_us=int(raw["at_us"]),
                chains=chains,
                public_key=str(raw["public_key"]),
                signature=str(raw["signature"]),
            )
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found.public_key))
            key.verify(bytes.fromhex(found.signature), _bytes(found))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"these are no signed heads: {error}", fix="see `lineshaft audit heads`") from error
        except InvalidSignature as error:
            raise CorruptError("the signed heads were altered", fix="use another copy of them") from error
        if trusted and trusted != found.public_key:
            raise CorruptError("the heads are signed with another key", where=found.public_key, fix="ask who signed")
        return found


def signed(chains: Mapping[str, Head], *, key: Path, at_us: int) -> SignedHeads:
    """Sign the ends of chains with the key of a file, which is made if there is none."""
    secret = _key(key)
    public = secret.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
    heads = SignedHeads(at_us=at_us, chains=chains, public_key=public)
    return SignedHeads(at_us=at_us, chains=chains, public_key=public, signature=secret.sign(_bytes(heads)).hex())


def missing(heads: SignedHeads, digests: Mapping[str, list[str]]) -> list[str]:
    """Return what was signed and is no longer so; `digests` are those of every line, by chain, oldest first."""
    found = []
    for name, head in sorted(heads.chains.items()):
        lines = digests.get(name, [])
        if head.length and (head.length > len(lines) or lines[head.length - 1] != head.digest):
            found.append(f"{name}: line {head.length} was signed as {head.digest[:12]}… and is not there any more")
    return found


def _said(heads: SignedHeads) -> dict[str, object]:
    chains = {name: {"length": head.length, "digest": head.digest} for name, head in sorted(heads.chains.items())}
    return {"at_us": heads.at_us, "chains": chains, "public_key": heads.public_key}


def _bytes(heads: SignedHeads) -> bytes:
    return json.dumps(_said(heads), sort_keys=True).encode()


def _key(path: Path) -> Ed25519PrivateKey:
    """Return the key of a file; the first who asks makes it, readable for this account alone."""
    private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(found, Ed25519PrivateKey):
            raise InputError("the key is no Ed25519 key", where=str(path), fix="move it away") from None
        return found
    made = Ed25519PrivateKey.generate()
    with os.fdopen(handle, "wb") as file:
        file.write(made.private_bytes(*private))
    return made
