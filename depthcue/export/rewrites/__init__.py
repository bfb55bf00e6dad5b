"""Exact rewrites of a net before it is exported or run: the same answers from less arithmetic."""

from depthcue.export.rewrites.rewriting import VERSION, Rewriting, exchange_pays_in_torch, rewritten

__all__ = ["VERSION", "Rewriting", "exchange_pays_in_torch", "rewritten"]
