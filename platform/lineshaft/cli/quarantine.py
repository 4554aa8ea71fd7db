"""Commands about what checkpoints held back: quarantine list, show, release, discard, history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from lineshaft.cli.actor import acting
from lineshaft.cli.app import Json, app
from lineshaft.cli.output import show, underway
from lineshaft.ops.quarantine import Held, find_held, held_batches
from lineshaft.ops.release import Decision, decisions
from lineshaft.wiring import connect, gated_target
from lineshaft.wiring.writing import keeper

quarantine = typer.Typer(no_args_is_help=True, help="What checkpoints held back, and what becomes of it.")
app.add_typer(quarantine, name="quarantine")

Batch = Annotated[str, typer.Argument(help="A batch, as `quarantine list` names it; its first letters will do.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads the history.")]
_SHOWN = 20


@quarantine.command("list")
def list_command(as_json: Json = False) -> None:
    """List every batch that waits for a decision: of what, how many rows, since when, and why."""
    with connect() as parts:
        rows = [_line(one) for one in held_batches(parts.work)]
    show(rows, title="in quarantine", as_json=as_json, nothing="nothing is held")


@quarantine.command("show")
def show_command(batch: Batch, as_json: Json = False) -> None:
    """Show the rows of a batch with their reasons; of blocks, what they are and not their samples."""
    with connect() as parts:
        held = find_held(parts.work, batch)
        table = held.table()
    if held.kind == "source":
        table = table.drop_columns(["payload"])
    order = ["reason", *(name for name in table.column_names if name != "reason")]
    rows = table.select(order if as_json else order[:8]).to_pylist()
    show(rows if as_json else rows[:_SHOWN], title=f"{held.id}: {held.rows:,} rows of {held.what}", as_json=as_json)


@quarantine.command("release")
def release_command(batch: Batch, reason: Reason, as_json: Json = False) -> None:
    """Let a batch in after all. Rows that were made without released blocks are made anew, and replaced."""
    actor = acting(reason)
    with connect() as parts, gated_target(parts) as target, underway(f"releasing {batch}"):
        held = find_held(parts.work, batch)
        done = keeper(parts, gate=target.gate).release(held, actor=actor, reason=reason)
    show([_told(done)], title="released", as_json=as_json)


@quarantine.command("discard")
def discard_command(batch: Batch, reason: Reason, as_json: Json = False) -> None:
    """Keep a batch out for good. Its file stays; the same batch, held again, is not asked about again."""
    actor = acting(reason)
    with connect() as parts:
        done = keeper(parts).discard(find_held(parts.work, batch), actor=actor, reason=reason)
    show([_told(done)], title="discarded", as_json=as_json)


@quarantine.command("history")
def history_command(as_json: Json = False) -> None:
    """List every decision: who, what, when, why; fails where a line was changed since it was written."""
    with connect() as parts:
        rows = [_told(one) for one in decisions(parts.work)]
    show(rows, title="decisions", as_json=as_json, nothing="nothing was decided")


def _line(held: Held) -> dict[str, object]:
    first, count = held.reasons[0] if held.reasons else ("", 0)
    more = f", and {len(held.reasons) - 1} reasons more" if len(held.reasons) > 1 else ""
    return {
        "batch": held.id,
        "of": held.what,
        "rows": held.rows,
        "since": _when(held.since_us),
        "why": f"{first} ({count:,}){more}",
    }


def _told(decision: Decision) -> dict[str, object]:
    return {
        "act": decision.act,
        "batch": decision.batch[:12],
        "of": decision.what,
        "rows": decision.rows,
        "stored": decision.stored,
        "replayed": decision.replayed,
        "by": decision.actor,
        "why": decision.reason,
        "at": _when(decision.at_us),
    }


def _when(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")
