"""Commands about what happened: audit lists denials, audit verify proves histories, audit heads signs their ends."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lineshaft.access.denials import recorded
from lineshaft.cli.app import Json, app
from lineshaft.cli.output import show
from lineshaft.clock import moment
from lineshaft.errors import CorruptError
from lineshaft.ops.release import decisions
from lineshaft.registry.audit import faults
from lineshaft.registry.catalog_audit import faults as catalogue_faults
from lineshaft.registry.records import Head
from lineshaft.registry.signed_heads import SignedHeads, missing, signed
from lineshaft.settings import Settings
from lineshaft.wiring import Parts, connect

audit = typer.Typer(invoke_without_command=True, help="Who was denied what, and whether every history is whole.")
app.add_typer(audit, name="audit")


@audit.callback()
def denials(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest denials.")] = 50,
    as_json: Json = False,
) -> None:
    """List who was denied what by the servers of this home: what came again within ten seconds is counted."""
    if context.invoked_subcommand is not None:
        return
    settings = Settings()
    rows: list[dict[str, Any]] = [asdict(denial) for denial in recorded(settings.home / "audit", most=last)]
    if not as_json:
        rows = [{"at": moment(row.pop("at_us")), **row} for row in rows]
    show(rows, title="denials", as_json=as_json)


@audit.command("verify")
def verify(
    heads: Annotated[
        list[Path] | None, typer.Option(help="Signed heads that were kept elsewhere; repeat for more.")
    ] = None,
    key: Annotated[str, typer.Option(help="The public key (hex) that they must be signed with.")] = "",
    as_json: Json = False,
) -> None:
    """Prove that nothing in any history (catalogue, models, quarantine) was edited, deleted, moved or cut off.

    What was cut off together with its notes is found by signed heads alone.
    """
    given = [SignedHeads.from_json(path.read_text(encoding="utf-8"), trusted=key) for path in heads or ()]
    with connect() as parts:
        rows, found, digests = _histories(parts)
    for one in given:
        found += missing(one, digests)
    show(rows, title="histories", as_json=as_json)
    if found:
        fix = "compare with a backup; apply and promote nothing until it is explained"
        raise CorruptError("; ".join(found), where="the database", fix=fix)


@audit.command("heads")
def sign_heads(
    to: Annotated[
        Path | None, typer.Option(help="A file to write; keep it where this database cannot be written.")
    ] = None,
) -> None:
    """Sign the ends of all histories as they are now; refuses to sign what does not verify."""
    with connect() as parts:
        _, found, digests = _histories(parts)
        if found:
            raise CorruptError(
                "; ".join(found), where="the database", fix="`lineshaft audit verify` says it row by row"
            )
        chains = {name: Head(length=len(lines), digest=lines[-1]) for name, lines in digests.items() if lines}
        key = parts.settings.home / "audit" / "signing_key.pem"
        text = signed(chains, key=key, at_us=parts.clock.now_us()).to_json()
    if to is None:
        typer.echo(text)
    else:
        to.write_text(text + "\n", encoding="utf-8")


def _histories(parts: Parts) -> tuple[list[dict[str, Any]], list[str], dict[str, list[str]]]:
    """Return a row for each history, everything that is wrong, and the digests of their lines."""
    account = parts.catalog.account()
    catalogue = f"catalogue {account.project}"
    digests = {catalogue: [line.digest for line in account.lines]}
    wrong = {catalogue: catalogue_faults(account)}
    for model in parts.registry.models():
        told = parts.registry.account(model.name)
        digests[f"model {model.name}"] = [line.digest for line in told.lines]
        wrong[f"model {model.name}"] = [*faults(told), *parts.registry.damaged(model.name)]
    try:
        decided, torn = [one.digest for one in decisions(parts.work)], list[str]()
    except CorruptError as error:
        decided, torn = [], [f"{error.what} ({error.where})"]
    if decided or torn:
        digests["quarantine"], wrong["quarantine"] = decided, torn
    rows = [
        {
            "history": name,
            "lines": len(lines),
            "faults": len(wrong[name]),
            "head": lines[-1] if lines else "",
        }
        for name, lines in digests.items()
    ]
    return rows, [fault for several in wrong.values() for fault in several], digests
