"""Where a results document comes from, and which documents may be read as one comparison.

A page shows every results file in a section of its own and never puts numbers of two files into one table or figure.
Sections of the same command still invite comparing: what they differ in is said beside them, and those that were
measured on different data share a page only where that is asked for.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from depthcue.report.results import Results

Fact = tuple[str, str]
"""A label and what it says."""


def provenance(results: Results) -> tuple[Fact, ...]:
    """What was run, on what, with what: the facts that a document states, in the order a reader asks for them."""
    machine = results.get("machine", {})
    facts = (
        ("command", _command(results)),
        ("data", ", ".join(data_specs(results))),
        ("images", str(results["images"]) if isinstance(results.get("images"), int) else ""),
        ("depth net", _named(_nets(results, "target_net"))),
        ("mask net", _named(_nets(results, "weights"))),
        ("seed", str(results.get("seed", ""))),
        ("machine", ", ".join(str(machine[part]) for part in ("processor", "gpu", "platform") if machine.get(part))),
        ("versions", ", ".join([f"depthcue {results.get('revision', 'unknown')}",
                                *(f"{part} {machine[part]}" for part in ("torch", "python") if part in machine)])),
    )
    return tuple((label, said) for label, said in facts if said)


def in_short(results: Results) -> str:
    """Data, number of images and nets in one line."""
    images = results.get("images")
    parts = [", ".join(data_specs(results)), f"{images} image{'s' * (images != 1)}" if isinstance(images, int) else ""]
    names = [str(net.get("name")) for part in ("target_net", "weights") for net in _nets(results, part)]
    return " · ".join(part for part in (*parts, ", ".join(dict.fromkeys(names))) if part)


def data_specs(results: Results) -> tuple[str, ...]:
    """The specs of the data that was measured on, as far as the document names them."""
    data = results.get("data")
    entries = data if isinstance(data, list) else [data]
    specs = (entry.get("spec") if isinstance(entry, Mapping) else entry for entry in entries)
    return tuple(str(spec) for spec in specs if spec)


def comparability(documents: Sequence[Results]) -> tuple[str, ...]:
    """One sentence for every command of which there are several documents: may their numbers be compared?

    They may where data, images and depth net are the same: then all that differs is the mask net, or an option. They
    may not where any of the three differs or is not stated. Sections are counted from 1, in the order given.
    """
    return tuple(_compared(command, places, [documents[place] for place in places])
                 for command, places in _of_one_command(documents))


def different_data(documents: Sequence[Results]) -> tuple[int, int] | None:
    """The places of the first two documents of one command that state different data or images; None without any."""
    for _, places in _of_one_command(documents):
        for place in places[1:]:
            first, other = documents[places[0]], documents[place]
            if any(stated(first) and stated(other) and stated(first) != stated(other) for stated in (_data, _images)):
                return places[0], place
    return None


def _of_one_command(documents: Sequence[Results]) -> list[tuple[str, list[int]]]:
    """Every command of which there are several documents, and their places."""
    places: dict[str, list[int]] = {}
    for place, results in enumerate(documents):
        places.setdefault(results["command"], []).append(place)
    return [(command, here) for command, here in places.items() if len(here) > 1]


def _compared(command: str, places: Sequence[int], documents: Sequence[Results]) -> str:
    numbers = [str(place + 1) for place in places]
    sections = f"Sections {', '.join(numbers[:-1])} and {numbers[-1]} (depthcue {command})"
    ground = {
        "data": [_data(results) for results in documents],
        "images": [_images(results) for results in documents],
        "depth net": [_identity(_nets(results, "target_net")) for results in documents],
    }
    apart = [name for name, values in ground.items() if len(set(values)) > 1]
    if apart:
        return f"{sections} differ in {_listed(apart)}: read each on its own, their numbers are not one comparison."
    unknown = [name for name, values in ground.items() if not values[0]]
    if unknown:
        return f"{sections} do not say on which {_listed(unknown)} they were measured: read each on its own."
    masks = {_identity(_nets(results, "weights")) for results in documents}
    why = "the mask net" if len(masks) > 1 else "the settings"
    revisions = list(dict.fromkeys(str(results.get("revision")) for results in documents))
    older = f" But they were measured by different revisions ({', '.join(revisions)})." if len(revisions) > 1 else ""
    return f"{sections} saw the same images with the same depth net and differ in {why}: they can be compared.{older}"


def _command(results: Results) -> str:
    arguments = [str(word) for word in results.get("arguments", [])]
    # called from Python, the words are those of another program
    named = arguments[:1] in ([results["command"]], ["demo"])
    return f"depthcue {shlex.join(arguments) if named else results['command']}"


def _nets(results: Results, part: str) -> list[Mapping[str, Any]]:
    # one net, a list of them, or pairs of depth and mask net
    pairs = [pair.get(part) for pair in results.get("nets", ()) if isinstance(pair, Mapping)]
    found = results.get(part, pairs)
    entries = found if isinstance(found, list) else [found]
    return [entry if isinstance(entry, Mapping) else {"name": entry} for entry in entries if entry]


def _named(nets: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{net.get('name')} (sha256 {str(net['sha256'])[:12]})" if net.get("sha256")
                     else str(net.get("name")) for net in nets)


def _identity(nets: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(net.get("sha256") or net.get("name")) for net in nets)


def _data(results: Results) -> str:
    return ", ".join(data_specs(results))


def _images(results: Results) -> str:
    per_image = results.get("per_image")
    names = per_image.get("names") if isinstance(per_image, Mapping) else None
    return "\n".join(map(str, names)) if names else str(results.get("images", ""))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
