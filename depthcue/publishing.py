"""A trained mask net as a repository folder for the Hugging Face hub: weights, card, README, licence, examples.

`depthcue.load("OWNER/NAME")` and `--weights hub:OWNER/NAME` fetch it once it is uploaded (see `nets.released`). Nothing
is uploaded here, and nothing in the folder names a path of this machine.
"""

import json
import logging
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depthcue import scenes
from depthcue.answers import MaskResult
from depthcue.errors import DepthcueError
from depthcue.files import make_folder, without_paths, write_json, write_text
from depthcue.masker import Masker, Network, PictureLike
from depthcue.nets.catalog import EXPLAINED, GENERAL, SHIPPED, weights_folder
from depthcue.nets.checkpoint import card_path, read_with_card
from depthcue.nets.released import WEIGHTS

EXAMPLES = 3
"""Rendered pictures that are masked where none are given."""
EXAMPLE_KEEP = 0.2
_SIZES = {"indoor": (240, 320), "road": (192, 640)}
_LICENCES = {"mit": "MIT", "apache-2.0": "Apache-2.0", "bsd-3-clause": "BSD-3-Clause", "cc-by-4.0": "CC-BY-4.0",
             "cc-by-nc-4.0": "CC-BY-NC-4.0", "gpl-3.0": "GPL-3.0"}
"""Names of common licences on the hub, and their usual spellings."""
log = logging.getLogger(__name__)
_PAPER = """\
@inproceedings{hu2019visualization,
  title     = {Visualization of Convolutional Neural Networks for Monocular Depth Estimation},
  author    = {Hu, Junjie and Zhang, Yan and Okatani, Takayuki},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  year      = {2019}
}"""


def publish(run: str | os.PathLike[str], out: str | os.PathLike[str], *, name: str | None = None,
            licence: str | None = None, target: Network | None = None, pictures: Sequence[PictureLike] = (),
            device: str = "auto") -> list[Path]:
    """Write the repository folder of a mask net, for its owner to upload.

    Args:
        run: the run folder of `depthcue train`, a .safetensors file with its card, or the name of a shipped mask net.
        out: a new or empty folder.
        name: OWNER/NAME that it will have on the hub, for the README; None for a name to be filled in.
        licence: of the weights, as the hub calls it (mit, apache-2.0, cc-by-4.0, …) or in your words; None for what the
            card says.
        target: the depth net, for depths in the examples; None for the one that the card names.
        pictures: examples to mask, which have to be yours to publish; none for rendered ones.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        The files: mask.safetensors, mask.json, README.md, LICENSE, examples/*.png.

    Raises:
        DepthcueError: no mask net there, a card that does not say the licence where none is given, a folder with files
            in it, a target that cannot be opened.

    Example:
        >>> files = depthcue.publish("compact-indoor", "repository", name="me/rooms", device="cpu")
        >>> [file.name for file in files][:4]
        ['mask.safetensors', 'mask.json', 'README.md', 'LICENSE']
    """
    weights = _weights_of(os.fspath(run))
    _, card = read_with_card(weights)
    if card.get("kind") != "mask":
        raise DepthcueError(f"{weights} is a {card.get('kind')} net; a mask net is published",
                            "Give the run folder of depthcue train.")
    card = _public(card, licence)
    if name is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise DepthcueError(f"--name {name} is not of the form OWNER/NAME", "For example --name me/my-mask-net.")
    folder = make_folder(out)
    if any(folder.iterdir()):
        raise DepthcueError(f"{folder} holds files already", "Choose another --out, or empty it.")
    masker = Masker(weights, device=device, target=target)
    results = _examples(masker, pictures)
    shutil.copyfile(weights, folder / WEIGHTS)
    write_json(folder / card_path(WEIGHTS), card)
    write_text(folder / "LICENSE", _licence_text(card))
    files = [folder / WEIGHTS, folder / card_path(WEIGHTS), folder / "README.md", folder / "LICENSE"]
    with_depth = _has_depth_net(masker)
    shown = []
    for number, result in enumerate(results, 1):
        result.name = f"{number}"
        files += (saved := result.save(folder / "examples", ("panel",) if with_depth else ("overlay",)))
        shown += [(path.relative_to(folder).as_posix(), result.keep) for path in saved]
    write_text(folder / "README.md", _readme(card, name, shown, with_depth))
    return files


def _weights_of(run: str) -> Path:
    if run in (*SHIPPED, *EXPLAINED, GENERAL):
        return weights_folder() / f"{run}-mask.safetensors"
    path = Path(run).expanduser()
    found = path / WEIGHTS if path.is_dir() else path
    if not found.is_file():
        hint = "Give the run folder of depthcue train, or a .safetensors file."
        if path.is_dir() and (path / "config.json").exists():
            hint = (f"The run is not finished: go on with depthcue train --resume --out {shlex.quote(run)}, with the "
                    "same options.")
        raise DepthcueError(f"there is no {found}", hint)
    if found.suffix != ".safetensors":
        raise DepthcueError(f"{found} is no .safetensors file", "Bring others to it with depthcue convert.")
    return found


def _public(card: dict[str, Any], licence: str | None) -> dict[str, Any]:
    """The card as others may read it, with the licence given."""
    public: dict[str, Any] = without_paths(card)
    description = public["description"]
    if licence is not None:
        stated, wanted = description.get("licence"), _LICENCES.get(licence.lower(), licence)
        if stated not in (None, "", "unknown", wanted):
            log.warning("the licence %s takes the place of the card's: %s", wanted, stated)
        description["licence"] = wanted
    if description.get("licence") in (None, "", "unknown"):
        raise DepthcueError("the card does not say the licence of the weights",
                            f"Name it with --licence: {', '.join(_LICENCES)}, or in your words. Think of the data it "
                            "was trained on, too.")
    if not public.get("sha256"):
        raise DepthcueError("the card does not state the sha256 of its weights",
                            "Write the weights anew with this version of depthcue train or convert.")
    return public


def _examples(masker: Masker, pictures: Sequence[PictureLike]) -> list[MaskResult]:
    if not pictures:
        description = masker.mask_net.description
        kind = "road" if description.width > 2 * description.height else "indoor"
        rendered = scenes.render(kind, range(EXAMPLES), *_SIZES[kind]).rgb
        pictures = list(rendered.cpu())
    return masker(list(pictures), EXAMPLE_KEEP)


def _has_depth_net(masker: Masker) -> bool:
    """Whether the depth net can be opened here; one that was named has been."""
    try:
        return masker.depth_model is not None
    except DepthcueError:
        return False


def _licence_text(card: dict[str, Any]) -> str:
    description = card["description"]
    return (f"The weights in {WEIGHTS} ({description['name']}):\n\n{description['licence']}\n\n"
            f"Source: {description.get('source', 'unknown')}\nsha256: {card['sha256']}\n")


def _readme(card: dict[str, Any], name: str | None, shown: Sequence[tuple[str, float]], with_depth: bool) -> str:
    """The page of the repository; its front matter is what the hub lists it by."""
    description, training = card["description"], card.get("training", {})
    repository, target = name or "OWNER/NAME", description["target"]
    licence = next((key for key, words in _LICENCES.items() if description["licence"] == words), "other")
    front = {"license": licence,
             **({"license_name": "see-license-file", "license_link": "LICENSE"} if licence == "other" else {}),
             "library_name": "depthcue", "pipeline_tag": "depth-estimation",
             "tags": ["monocular-depth-estimation", "explainability", "saliency"]}
    matter = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())
    named, spec = _target_of(card)
    loaded = f'depthcue.load("{repository}")' if target in SHIPPED else \
        f'depthcue.load("{repository}", target="{spec}")  # the depth net it explains'
    option = "" if target in SHIPPED else f" --target {spec}"
    facts = [("architecture", card["architecture"]), ("parameters", f"{card.get('parameters', 0):,}"),
             ("explains", named),
             ("working size", f"{description['width']}x{description['height']}"), _range_of(description),
             ("trained on", ", ".join(dict.fromkeys(map(_data_in_words, training.get("data", ())))) or "not stated"),
             ("steps", f"{training['steps']:,}" if training.get("steps") else "not stated"),
             ("sha256", f"`{card['sha256']}`")]
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts)
    caption = ("picture, mask, what is kept, depth from all and from what is kept" if with_depth
               else "what is kept in full light")
    pictures = "\n\n".join(f"![{keep:.0%} of the pixels kept]({path})" for path, keep in shown)
    return f"""---
{matter}
---

# {description['name']}

Which pixels does a monocular depth network look at? This mask net answers for {named}: it keeps the few
pixels from which the network still sees the same depth (Hu, Zhang, Okatani, ICCV 2019).

```python
import depthcue

masker = {loaded}
masker("picture.jpg", keep=0.2).overlay().save("overlay.png")
```

```shell
depthcue mask picture.jpg --weights hub:{repository}{option} --out masks
```

## Examples

Shown: {caption}.

{pictures}

## Facts

| | |
|---|---|
{rows}

The card, mask.json, holds the rest. Licence: {description['licence']}

## Citation

```bibtex
{_PAPER}
```
"""


def _data_in_words(spec: str) -> str:
    """A data set as a card names it, without the placeholder of a path."""
    return "a folder of pictures" if spec == "folder:PATH" else spec.removesuffix(":PATH")


def _target_of(card: dict[str, Any]) -> tuple[str, str]:
    """The depth net in words, and its spec for others to type; its file is not in the repository."""
    target, sha256 = card["description"]["target"], card.get("target_sha256")
    if not target or target == "PATH":
        return "a network that is not public", "NET"
    if ":PATH" not in target:
        return target, target
    kind = "an ONNX graph" if target.startswith("onnx:") else "the network of a file"
    return kind + (f" (sha256 {sha256[:16]}…)" if sha256 else ""), target.replace(":PATH", ":FILE")


def _range_of(description: dict[str, Any]) -> tuple[str, str]:
    if description.get("keep_range"):
        low, high = description["keep_range"]
        return "share kept", f"{low:g} to {high:g}, default {description['default_keep']:g}"
    if description.get("lambda_range"):
        low, high = description["lambda_range"]
        return "λ", f"{low:g} to {high:g}, default {description['default_lambda']:g}"
    return "λ", f"{description['default_lambda']:g}"
