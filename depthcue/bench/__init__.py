"""Measuring every way of running a net that works here: answers first, then time, memory, and share of the limit."""
