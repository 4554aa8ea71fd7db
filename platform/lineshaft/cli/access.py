"""Commands about who may ask: tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from lineshaft.access.principal import EVERY_TEAM, grant_texts, grants_of
from lineshaft.access.tokens import Token
from lineshaft.cli.app import Json, app
from lineshaft.cli.output import notes, show
from lineshaft.clock import SystemClock, moment
from lineshaft.ops.account import account
from lineshaft.registry.catalog import SqlCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.tokens import TokenRegister
from lineshaft.settings import Settings

tokens = typer.Typer(no_args_is_help=True, help="API tokens: who may ask a server.")
app.add_typer(tokens, name="tokens")
DAY_US = 86_400_000_000


@tokens.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who is to use it, in a few words.")],
    grant: Annotated[list[str], typer.Option(help="team:role; repeat for more teams. Roles: reader, writer, admin.")],
    days: Annotated[float, typer.Option(help="How long it lives.")] = 90.0,
    person: Annotated[str, typer.Option(help="The account of the human it belongs to; a service's unless said.")] = "",
    as_json: Json = False,
) -> None:
    """Make a token and show it, this once."""
    grants = grants_of(grant)
    with _register() as register:
        token, secret = register.create(name, grants, lives_us=round(days * DAY_US), actor=account(), person=person)
    show([{"token": secret, **_row(token)}], title="a new token: it is not shown again", as_json=as_json)
    for team in sorted(grants.keys() - {EVERY_TEAM} - _teams()):
        notes.print(f"nothing in the catalogue is of team {team}: is it spelt so?", markup=False, soft_wrap=True)


@tokens.command("list")
def list_tokens(as_json: Json = False) -> None:
    """List the tokens there are and were; their secrets are nowhere."""
    with _register() as register:
        rows = [_row(token) for token in register.all()]
    show(rows, title="tokens", as_json=as_json)


@tokens.command("revoke")
def revoke(id: str, as_json: Json = False) -> None:  # noqa: A002 - what the list calls it
    """Revoke a token for good; servers refuse it within two seconds."""
    with _register() as register:
        token = register.revoke(id, actor=account())
    show([_row(token)], title="revoked", as_json=as_json)


def _teams() -> set[str]:
    """Return the teams that own or may read something."""
    settings = Settings()
    catalog = SqlCatalog(settings.database(), project=settings.project)
    try:
        known = catalog.snapshot()
    finally:
        catalog.close()
    owners = {view.team for view in known.all_views} | {service.team for service in known.all_services}
    return owners | {team for service in known.all_services for team in service.readers}


@contextmanager
def _register() -> Iterator[TokenRegister]:
    settings = Settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database())
    register = TokenRegister(settings.database(), project=settings.project, clock=SystemClock())
    try:
        yield register
    finally:
        register.close()


def _row(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "person": token.person,
        "grants": ", ".join(grant_texts(token.grants)),
        "state": token.state(SystemClock().now_us()),
        "created": moment(token.created_us),
        "by": token.created_by,
        "expires": moment(token.expires_us),
        "revoked": moment(token.revoked_us) if token.revoked_us is not None else None,
    }
