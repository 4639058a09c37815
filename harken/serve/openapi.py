"""The description of the service, as OpenAPI 3.1 has it."""

from __future__ import annotations

from typing import Any

from harken import __version__
from harken.serve.settings import Settings


def description(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document."""
    return {"openapi": "3.0.3", "info": {"title": "Harken", "version": __version__}, "paths": {}}
