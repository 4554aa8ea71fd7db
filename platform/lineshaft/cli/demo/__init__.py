"""The main job, shown: `lineshaft demo` runs every part once and prints what it proved."""

from lineshaft.cli.demo.command import demo

__all__ = ["demo"]
