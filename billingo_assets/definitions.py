"""The code location that `workspace.yaml` names. What is in it, `build` says."""

from __future__ import annotations

from billingo_assets.build import build_defs
from billingo_assets.startup import loading

with loading():
    defs = build_defs()
