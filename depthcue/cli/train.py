"""`depthcue train`: a mask net for a depth net."""

from typing import Annotated

import typer

from depthcue.cli.options import (
    AugmentationOption,
    DataListOption,
    LossOption,
    TrainingWords,
    parse_range,
    training_command,
)


@training_command
def train(
    target: Annotated[str, typer.Option("--target", "-t", metavar="NET", help="Depth net N to explain: "
                                        "compact-indoor, compact-road, a .safetensors file, a released "
                                        "checkpoint, NAME:PATH, or your own: hf:REPO, ultralytics:FILE, "
                                        "python:MODULE:FUNCTION, hub:REPO:ENTRY.")],
    data: DataListOption,
    net: Annotated[str, typer.Option("--net", metavar="G", help="lite0, lite1, lite2 or compact, which take the share "
                                     "to keep as an input, or drn22 (the paper's).")] = "compact",
    keep_range: Annotated[str | None, typer.Option(
        "--keep-range", metavar="A:B", help="Range of the share of pixels to keep that the net is trained for. Default "
        "0.04:0.8, where --lambda is not given.", show_default=False)] = None,
    lam: Annotated[list[float] | None, typer.Option(
        "--lambda", metavar="X", help="Train by Eq. (4) with this weight of sparseness. Give two for the range that a "
        "net with a dial is trained for, or one. drn22: one (default 5).")] = None,
    equation: Annotated[str, typer.Option("--equation", metavar="4|5", help="4: fewest pixels that keep the depth. "
                                          "5: fewest pixels whose loss destroys it.")] = "4",
    sharpen: Annotated[float | None, typer.Option(
        "--sharpen", metavar="SHARE", min=0.0, max=1.0, help="Share of the pictures that N sees through a binary mask, "
        "so that the best pixels alone are worth something. 0 is the paper's, and the default for drn22; else 0.6.")
        ] = None,
    loss: LossOption = "depth+grad+normal", augmentation: AugmentationOption = "published", *, words: TrainingWords,
) -> None:
    """Train a mask net G for a depth net N (Hu et al. 2019, Algorithm 1). Pictures need no depth.

    Several processes: accelerate launch -m depthcue.cli train ..., or torchrun. A run that was stopped goes on with
    --resume and the same options.
    """
    from depthcue.training.mask import MaskTraining, mask_recipe, train_mask

    what = MaskTraining(
        target=target, data=tuple(data), net=net, lam=tuple(lam or ()), keep_range=parse_range(keep_range),
        equation=equation, loss=loss, augmentation=augmentation, **words.settled(),
        **mask_recipe(net, sharpen=sharpen, **words.asked()))
    words.run(train_mask, what, "mask")
