"""Provenance of results documents, and which of them may be read as one comparison.

A page shows every results file in a section of its own and never puts numbers of two files into one table or figure.
Readers still compare sections of the same command: the page says in what they differ, and results that were measured on
different data share a page only with `--mixed`.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from depthcue.results import Result

Fact = tuple[str, str]
"""A label and what it says."""


def provenance(results: Result) -> tuple[Fact, ...]:
    """Facts of a document on command, nets and data, in the sequence in which a reader needs them."""
    machine = results.machine
    facts = (
        ("command", _command(results)),
        ("data", ", ".join(data_specs(results))),
        ("images", str(results["images"]) if isinstance(results.get("images"), int) else ""),
        ("depth net", _named(_nets(results, "target_net"))),
        ("mask net", _named(_nets(results, "weights"))),
        ("seed", str(results.get("seed", ""))),
        ("machine", ", ".join(str(machine[part]) for part in ("processor", "gpu", "platform") if machine.get(part))),
        ("versions", ", ".join([f"depthcue {results.revision or 'unknown'}",
                                *(f"{part} {machine[part]}" for part in ("torch", "python") if part in machine)])),
    )
    return tuple((label, text) for label, text in facts if text)


def in_short(results: Result) -> str:
    """Data, number of images and nets in one line."""
    images = results.get("images")
    parts = [", ".join(data_specs(results)), f"{images} image{'s' * (images != 1)}" if isinstance(images, int) else ""]
    names = [str(net.get("name")) for part in ("target_net", "weights") for net in _nets(results, part)]
    return " · ".join(part for part in (*parts, ", ".join(dict.fromkeys(names))) if part)


def data_specs(results: Result) -> tuple[str, ...]:
    """The specs of the data that was measured on, as far as the document names them."""
    data = results.get("data")
    entries = data if isinstance(data, list) else [data]
    specs = (entry.get("spec") if isinstance(entry, Mapping) else entry for entry in entries)
    return tuple(str(spec) for spec in specs if spec)


def comparability(documents: Sequence[Result]) -> tuple[str, ...]:
    """One sentence for every command of which there are several documents: whether their numbers may be compared.

    They may where data, images and depth net are the same: then all that differs is the mask net, or an option. They
    may not where any of the three differs or is not stated. Sections are counted from 1, in the order given.
    """
    return tuple(_compared(command, indices, [documents[index] for index in indices])
                 for command, indices in _of_one_command(documents))


def different_data(documents: Sequence[Result]) -> tuple[int, int] | None:
    """Indices of the first two documents of one command that state different data or images; None without any."""
    for _, indices in _of_one_command(documents):
        for index in indices[1:]:
            first, other = documents[indices[0]], documents[index]
            if any(stated(first) and stated(other) and stated(first) != stated(other) for stated in (_data, _images)):
                return indices[0], index
    return None


def _of_one_command(documents: Sequence[Result]) -> list[tuple[str, list[int]]]:
    """Every command of which there are several documents, and their indices."""
    indices: dict[str, list[int]] = {}
    for index, results in enumerate(documents):
        indices.setdefault(results.command, []).append(index)
    return [(command, here) for command, here in indices.items() if len(here) > 1]


def _compared(command: str, indices: Sequence[int], documents: Sequence[Result]) -> str:
    numbers = [str(index + 1) for index in indices]
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
    revisions = list(dict.fromkeys(str(results.revision) for results in documents))
    older = f" But they were measured by different revisions ({', '.join(revisions)})." if len(revisions) > 1 else ""
    return f"{sections} saw the same images with the same depth net and differ in {why}: they can be compared.{older}"


def _command(results: Result) -> str:
    arguments = [str(word) for word in results.arguments]
    # called from Python, the words are those of another program
    named = arguments[:1] in ([results.command], ["demo"])
    return f"depthcue {shlex.join(arguments) if named else results.command}"


def _nets(results: Result, part: str) -> list[Mapping[str, Any]]:
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


def _data(results: Result) -> str:
    return ", ".join(data_specs(results))


def _images(results: Result) -> str:
    per_image = results.get("per_image")
    names = per_image.get("names") if isinstance(per_image, Mapping) else None
    return "\n".join(map(str, names)) if names else str(results.get("images", ""))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
