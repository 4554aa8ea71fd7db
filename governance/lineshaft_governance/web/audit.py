"""The page of the audit log: who did what to which model, whether the histories hold, applies, and who was denied."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lineshaft.access.denials import recorded
from lineshaft.access.principal import Role
from lineshaft.registry.audit import faults
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.pieces import piece

_FRESH_S = 30.0


def audit(parts: WebParts, asked: Asked) -> Page:
    """Show every act, newest first, and whether each history is whole and all that is recorded follows from it."""
    look = parts.looks.at("audit", lambda: _read(parts), fresh_s=_FRESH_S)
    models, acts = look.value if look.value is not None else ([], [])
    applies = [
        {
            "at_us": one.at_us,
            "what": "apply",
            "thing": f"generation {one.generation}",
            "who": one.actor,
            "why": one.summary,
            "after": "",
            "digest": "",
        }
        for one in parts.applies()
    ]
    every = [*applies, *acts][::-1]  # of one moment the last act comes first
    every.sort(key=lambda line: line["at_us"], reverse=True)
    shown, about = piece(every, asked, text=lambda line: f"{line['what']} {line['thing']} {line['who']} {line['why']}")
    return {
        "title": "Audit log",
        "acts": shown,
        "models": models,
        "denials": _denials(parts, asked),
        "table": shown,
        "search": about,
        "waiting": look.waiting,
        "as_of": {"histories verified": look.at_us},
    }


def audit_lines(parts: WebParts) -> list[dict[str, Any]]:
    """Return what verification found of each model's history, as it was last found."""
    look = parts.looks.at("audit", lambda: _read(parts), fresh_s=_FRESH_S)
    return look.value[0] if look.value is not None else []


def _read(parts: WebParts) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    models, acts = [], []
    for known in parts.registry.models():
        account = parts.registry.account(known.name)
        wrong = [*faults(account), *parts.registry.damaged(known.name)]
        head = account.lines[-1].digest if account.lines else ""
        models.append({"model": known.name, "lines": len(account.lines), "faults": wrong, "head": head})
        acts += [
            {
                "at_us": line.at_us,
                "what": line.action,
                "thing": f"{line.model}@{line.number}",
                "who": line.actor,
                "why": line.reason,
                "after": line.after,
                "digest": line.digest,
            }
            for line in account.lines
        ]
    return models, acts


def _denials(parts: WebParts, asked: Asked) -> list[dict[str, Any]] | None:
    """Return who was denied what lately, to administrators; None to others."""
    if asked.caller.principal.highest < Role.ADMIN:
        return None
    folder = parts.home / "audit"
    return [asdict(one) for one in recorded(folder, most=50)][::-1] if folder.is_dir() else []
