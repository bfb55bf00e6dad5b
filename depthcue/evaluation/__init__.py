"""Measuring: how good a depth net is, and how much of it is left when only chosen pixels are seen."""
