"""Harken learns to recognise music and shows how far to trust its answer."""

__version__ = "0.1.0"
