"""``python -m emotirt``: the command line."""

from __future__ import annotations

from emotirt.cli.main import main

raise SystemExit(main())
