"""`python -m lineshaft.cli`: how one command starts others of itself."""

from __future__ import annotations

from lineshaft.cli import main

if __name__ == "__main__":
    main()
