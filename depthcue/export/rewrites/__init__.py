"""Exact rewrites of a net before it is exported or run: the same answers from less arithmetic."""

from depthcue.export.rewrites.rewriting import VERSION, Rewriting, rewritten

__all__ = ["VERSION", "Rewriting", "rewritten"]
