"""Mask nets that others published: `hub:OWNER/NAME[@REVISION]` names a repository of the Hugging Face hub.

Such a repository holds mask.safetensors and its card, mask.json, as `depthcue publish` writes them. Both are fetched
once, from one revision, into the hub's own cache, and the weights must have the sha256 that the card states. Nothing of
a repository is run. (`hub:OWNER/REPO:ENTRY`, with an entry, is a depth net by torch.hub, which runs the repository's
code: see `foreign.python_object`.)
"""

import re
from pathlib import Path

from depthcue.errors import DepthcueError
from depthcue.nets.checkpoint import card_path, read_card

PREFIX = "hub:"
WEIGHTS = "mask.safetensors"
FORM = "hub:OWNER/NAME or hub:OWNER/NAME@REVISION"
_NAME = r"[A-Za-z0-9][\w.-]*"
_REPOSITORY = re.compile(rf"({_NAME}/{_NAME})(?:@([\w./-]+))?", re.ASCII)
_FILES = (".safetensors", ".onnx", ".engine", ".pth", ".pt", ".tar", ".ckpt", ".bin")


def is_published(spec: str) -> bool:
    """Whether a mask net's spec names a repository of the hub."""
    return spec.startswith(PREFIX)


def names_repository(text: str) -> bool:
    """Whether a text without `hub:` before it reads as OWNER/NAME, and not as the path of a file."""
    found = _REPOSITORY.fullmatch(text)
    return found is not None and not found[1].endswith(_FILES) and not Path(text).exists()


def fetch_mask_net(spec: str) -> Path:
    """The weights of a published mask net in the hub's cache, the card beside them; fetched where they are not there.

    Without a connection, what was fetched before is taken.

    Args:
        spec: `hub:OWNER/NAME`, or `hub:OWNER/NAME@REVISION` for a branch, a tag or a commit.

    Raises:
        DepthcueError: not the name of a repository, none there, one without a mask net, no connection, or a card that
            does not state the sha256 of its weights.
    """
    location = spec.removeprefix(PREFIX)
    found = _REPOSITORY.fullmatch(location)
    if found is None:
        if location.count(":") == 1 and location.partition(":")[2]:
            raise DepthcueError(f"{spec} is a torch.hub entry, which gives a depth net; a mask net is wanted here",
                                f"Give it as --target. A published mask net is {FORM}.")
        raise DepthcueError(f"{spec} names no published mask net", f"Write {FORM}.")
    repository, revision = found[1], found[2]
    card = _download(repository, str(card_path(WEIGHTS)), revision)
    # both of one commit, whatever is uploaded meanwhile: the cache has a folder for each
    weights = _download(repository, WEIGHTS, card.parent.name)
    if not read_card(weights).get("sha256"):
        raise DepthcueError(f"the card of {spec} does not state the sha256 of its weights",
                            "Ask its owner to publish it with depthcue publish.")
    return weights


def _download(repository: str, file: str, revision: str | None) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    at = repository if revision is None else f"{repository}@{revision}"
    try:
        return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
    except errors.GatedRepoError as error:
        raise DepthcueError(f"{at} is open to those alone whom its owner admits",
                            "Ask on its page, then log in with hf auth login.") from error
    except errors.RepositoryNotFoundError as error:
        raise DepthcueError(f"there is no repository {repository} on the hub, or it is private",
                            f"Check the name; log in with hf auth login for one of your own. Write {FORM}.") from error
    except errors.RevisionNotFoundError as error:
        raise DepthcueError(f"{repository} has no revision {revision}",
                            "Name a branch, a tag or a commit of it, or none.") from error
    except errors.LocalEntryNotFoundError as error:  # which is an EntryNotFoundError too
        raise DepthcueError(f"{at} cannot be fetched: the hub cannot be reached, and it was not fetched before",
                            "Check the connection, or fetch it elsewhere and give the .safetensors file.") from error
    except errors.EntryNotFoundError as error:
        raise DepthcueError(f"{at} holds no mask net: it has no {file}",
                            "A repository that depthcue publish wrote has one.") from error
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        raise DepthcueError(f"{at} cannot be fetched: {str(error).strip().splitlines()[0] if str(error) else error!r}",
                            "Try again, or fetch it elsewhere and give the .safetensors file.") from error
