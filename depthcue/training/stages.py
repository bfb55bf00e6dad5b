"""A training as a stage of longer work: run, gone on with, or taken as it was left."""

from pathlib import Path

from depthcue.progress import Progress
from depthcue.training.depth import DepthTraining, train_depth
from depthcue.training.mask import MaskTraining, train_mask
from depthcue.training.run import RunFolder


def complete(what: DepthTraining | MaskTraining, folder: Path, device: str = "auto",
             progress: Progress | None = None) -> Path:
    """The weights of a training in its run folder: there already, or now trained to the end.

    Raises:
        DepthcueError: wrong options or data; the folder holds a run of other options.
        KeyboardInterrupt: stopped; the same call goes on from the checkpoint.
    """
    started = (folder / "config.json").exists()
    weights = folder / ("depth.safetensors" if isinstance(what, DepthTraining) else "mask.safetensors")
    # the checkpoint goes last: where it is still there, the weights or their card may not be whole
    if started and weights.exists() and not RunFolder(folder, what.config(), resume=True).checkpoint_file.exists():
        return weights
    if isinstance(what, DepthTraining):
        return train_depth(what, folder, resume=started, device=device, progress=progress)
    return train_mask(what, folder, resume=started, device=device, progress=progress)
