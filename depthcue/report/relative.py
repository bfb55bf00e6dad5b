"""What a reader must know where a depth net is right only up to scale and shift: what its metres are.

Said once in front of whatever a section says, so that no section needs to know.
"""

import dataclasses
from typing import Any

from depthcue.report.results import Results
from depthcue.report.section import Section

_WITHOUT_ERRORS = ("probe",)
"""Commands whose sections speak of no error in metres."""


def with_note(section: Section, results: Results) -> Section:
    """The section, with a first sentence on units where the results are of a relative net."""
    names = dict.fromkeys(_relative_nets(results))
    if not names or results["command"] in _WITHOUT_ERRORS:
        return section
    aligned = results.get("ground_truth", False)
    how = ("each picture's prediction was brought to the true depth by one scale and shift, the best for the whole "
           "picture, which also holds for what is seen through masks" if aligned else
           "without true depth to bring it to, metres here are units of its own, in which the depths of every picture "
           "have the median (2.7) and spread (0.8) of an average room's metres")
    note = f"{' and '.join(names)} sees depth only up to scale and shift: {how}."
    return dataclasses.replace(section, sentences=(note, *section.sentences))


def _relative_nets(part: Any) -> list[str]:
    """Names of the relative nets that a document describes, in order."""
    if isinstance(part, list):
        return [name for each in part for name in _relative_nets(each)]
    if not isinstance(part, dict):
        return []
    found = [str(part.get("name"))] if part.get("relative") and "aligned" in part else []
    return found + [name for key, each in part.items() if key in ("target_net", "nets", "losses")
                    for name in _relative_nets(each)]
