"""What stands between the network and the handlers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lineshaft.access.denials import Denials
from lineshaft.access.guard import Guard
from lineshaft.access.openid import OpenId, Provider
from lineshaft.access.rates import Rates
from lineshaft.access.tokens import Tokens
from lineshaft.errors import InputError
from lineshaft.registry.tokens import TokenRegister
from lineshaft.serving.door import Door
from lineshaft.serving.tls import Tls
from lineshaft.settings import Settings
from lineshaft.wiring.parts import Parts


@contextmanager
def door(parts: Parts) -> Iterator[Door]:
    """Open what stands between the network and the handlers, as the settings say."""
    settings, tls = parts.settings, _tls(parts.settings)
    with ExitStack() as stack:
        tokens = None
        if settings.auth_tokens:
            register = TokenRegister(settings.database(), project=settings.project, clock=parts.clock)
            stack.callback(register.close)
            tokens = Tokens(register, clock=parts.clock)
            stack.callback(tokens.close)
        openid = OpenId(_provider(settings), clock=parts.clock) if settings.oidc_issuer else None
        if openid is not None:
            stack.callback(openid.close)
        if tokens is None and openid is None:
            yield Door(tls=tls)
            return
        denials = Denials(settings.home / "audit", clock=parts.clock, worker=settings.worker or 0)
        stack.callback(denials.close)
        rates = Rates(per_s=settings.rate_per_s, burst=settings.rate_burst) if settings.rate_per_s else None
        yield Door(tls=tls, guard=Guard(tokens=tokens, openid=openid, rates=rates, denials=denials))


def _provider(settings: Settings) -> Provider:
    return Provider(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        keys=settings.oidc_keys,
        algorithms=[name.strip() for name in settings.oidc_algorithms.split(",") if name.strip()],
        claim=settings.oidc_claim,
    )


def _tls(settings: Settings) -> Tls | None:
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None or key is None:
        if cert or key or settings.tls_client_ca:
            what = "encryption needs both a certificate and its key"
            raise InputError(what, where="LINESHAFT_TLS_CERT, LINESHAFT_TLS_KEY", fix="set both, or neither")
        return None
    return Tls(cert=cert, key=key, client_ca=settings.tls_client_ca)
