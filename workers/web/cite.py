"""Cite: a paper's BibTeX, as `services.domain.cite` writes it."""

from __future__ import annotations

from services.domain.cite import bibtex, cite_key

__all__ = ["bibtex", "cite_key"]
