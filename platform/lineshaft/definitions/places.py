"""Find the expression in a module that a fault is about."""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta


def mentions(text: str) -> Callable[[ast.expr], bool]:
    """Accept the string literal `text` (whole or within), a keyword argument's value or a name spelled so."""

    def accept(node: ast.expr) -> bool:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return bool(text) and text in node.value
        return isinstance(node, ast.Name) and node.id == text

    return accept


def spells(duration: timedelta) -> Callable[[ast.expr], bool]:
    """Accept a call `timedelta(…)` of literals that makes this duration."""

    def accept(node: ast.expr) -> bool:
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("timedelta"):
            return False
        try:
            parts = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
            return timedelta(*(ast.literal_eval(argument) for argument in node.args), **parts) == duration
        except (TypeError, ValueError):
            return False

    return accept
