"""What is held, in one sentence for whoever runs the plant: what, of which machine, why, and how it is let in."""

from __future__ import annotations

from lineshaft.ops.quarantine import Held

KINDS = {
    "view": ("feature row", "of view {name}"),
    "source": ("block", "of source {name}"),
    "table": ("row", "of table {name}"),
    "training": ("row", "of the training set of model {name}"),
}


def sentence(held: Held, *, assets: tuple[str, ...] = ()) -> str:
    """Say what a batch is, whose, why it is held, and what to do; each word is one that a command takes.

    >>> from pathlib import Path
    >>> told = Held(id="3f2a", what="source.vibration", rows=20, reasons=(("scale_changed: another unit", 20),),
    ...             since_us=0, path=Path("3f2a.parquet"))
    >>> sentence(told, assets=("pump-7",))  # doctest: +NORMALIZE_WHITESPACE
    '20 blocks of source vibration, machine pump-7, are held and not used: scale_changed: another unit. Look:
    lineshaft quarantine show 3f2a. If right: lineshaft quarantine release 3f2a --reason "why"'
    """
    noun, of = KINDS[held.kind]
    several = held.rows != 1
    first, count = held.reasons[0] if held.reasons else ("no reason was kept", held.rows)
    why = first if count == held.rows else f"{first} ({count:,}, and {len(held.reasons) - 1} reasons more)"
    return (
        f"{held.rows:,} {noun}{'s' if several else ''} {of.format(name=held.name)}, {_machines(assets)}, "
        f"{'are' if several else 'is'} held and not used: {why}. "
        f"Look: lineshaft quarantine show {held.id}. "
        f'If right: lineshaft quarantine release {held.id} --reason "why"'
    )


def machines(held: Held) -> tuple[str, ...]:
    """Return the machines that a batch is of, sorted; none where its rows name none."""
    table = held.table()
    if "asset_id" not in table.column_names:
        return ()
    return tuple(sorted({str(name) for name in table["asset_id"].to_pylist() if name}))


def _machines(assets: tuple[str, ...]) -> str:
    """Name machines, three of many.

    >>> _machines(()), _machines(("a", "b")), _machines(("a", "b", "c", "d", "e"))
    ('of no machine named', 'machines a, b', 'machines a, b, c and 2 more')
    """
    if not assets:
        return "of no machine named"
    if len(assets) == 1:
        return f"machine {assets[0]}"
    return f"machines {', '.join(assets[:3])}" + (f" and {len(assets) - 3} more" if len(assets) > 3 else "")
