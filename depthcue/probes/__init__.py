"""Cue probes: one cue of a picture is turned while all else stays, and the depth net's answer is watched."""
