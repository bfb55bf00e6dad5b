"""What a state dict is, told by its keys and shapes: which architecture, and whether a depth net or a mask net.

File names cannot be relied on: some copies of the released files hold N under the mask net's name. A layout is known by
a few tensors that no other one has together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

DEPTH, MASK, OTHER = "depth", "mask", "other"
Marks = dict[str, tuple[int, ...] | None]


@dataclass(frozen=True)
class Layout:
    """Tensors that tell one kind of file from all others."""

    name: str
    """The architecture as specs name it; for files that are no net of ours, what they are, in words."""
    kind: str
    """`depth`, `mask`, or `other` for what is neither."""
    marks: Marks
    """Tensors it must have, with their shapes; None takes any shape."""
    lacks: tuple[str, ...] = ()
    """Tensors that it must not have."""
    advice: str = ""
    """What to do with such a file, where it is no net of ours."""

    @property
    def words(self) -> str:
        """What it is, for a message."""
        return self.name if self.kind == OTHER else f"{self.name}, a {self.kind} net"

    def fits(self, state: Mapping[str, Tensor]) -> bool:
        """Whether a state dict has these marks."""
        return all(key in state and shape in (None, tuple(state[key].shape)) for key, shape in self.marks.items()) \
            and not any(key in state for key in self.lacks)


_RESNET_18, _RESNET_50 = (64, 64, 3, 3), (64, 64, 1, 1)  # of layer1's first convolution
_FUSION: Marks = {"MFF.conv.weight": (64, 64, 5, 5)}
_AS_BACKBONE = "An encoder can start from it: --backbone FILE."
_AS_FOLDER = "Give the folder that holds both encoder.pth and depth.pth."

_LITE_LAST = "encoder.stages.6.0.project.0.weight"
_LITE_DEEPER = "encoder.stages.1.2.project.0.weight"
"""Lite1 and lite2 repeat stages more often than lite0; lite2 is wider."""


def _lite() -> tuple[Layout, ...]:
    sizes: dict[str, tuple[Marks, tuple[str, ...]]] = {
        "lite0": ({_LITE_LAST: (320, 1152, 1, 1)}, (_LITE_DEEPER,)),
        "lite1": ({_LITE_LAST: (320, 1152, 1, 1), _LITE_DEEPER: None}, ()),
        "lite2": ({_LITE_LAST: (352, 1248, 1, 1), _LITE_DEEPER: None}, ())}
    full = "up1.coarse.0.weight"  # of the mask nets alone
    return tuple(layout for name, (marks, lacks) in sizes.items() for layout in (
        Layout(name, DEPTH, {**marks, "up2.coarse.0.weight": None}, (*lacks, full)),
        Layout(name, MASK, {**marks, full: None}, lacks)))


LAYOUTS = (
    *_lite(),
    Layout("hu-resnet50", DEPTH, {**_FUSION, "E.layer1.0.conv1.weight": _RESNET_50}),
    Layout("hu-densenet161", DEPTH, {**_FUSION, "E.features.conv0.weight": (96, 3, 7, 7)}),
    Layout("hu-senet154", DEPTH, {**_FUSION, "E.base.0.conv1.weight": (64, 3, 3, 3)}),
    Layout("laina-resnet50", DEPTH, {"E.layer1.0.conv1.weight": _RESNET_50, "D.predict.weight": (1, 64, 3, 3)}),
    Layout("drn22", MASK, {"E.base.0.0.weight": (16, 3, 7, 7), "D.conv.weight": (1, 64, 3, 3)}),
    Layout("compact", DEPTH, {"encoder.whole.weight": None, "up8.0.weight": None, "head.weight": None}),
    Layout("compact", MASK, {"encoder.whole.weight": None, "up8.modulation.weight": None, "head.weight": None}),
    Layout("monodepth2-resnet18", DEPTH, {"encoder.layer1.0.conv1.weight": _RESNET_18,
                                          "decoder.0.conv.conv.weight": (256, 512, 3, 3)}),
    Layout("monodepth2-resnet50", DEPTH, {"encoder.layer1.0.conv1.weight": _RESNET_50,
                                          "decoder.0.conv.conv.weight": (256, 2048, 3, 3)}),
    Layout("the encoder of a monodepth2 net", OTHER, {"encoder.layer1.0.conv1.weight": None},
           ("decoder.0.conv.conv.weight",), _AS_FOLDER),
    Layout("the decoder of a monodepth2 net", OTHER, {"decoder.0.conv.conv.weight": None},
           ("encoder.conv1.weight",), _AS_FOLDER),
    Layout("a ResNet-18 classifier", OTHER, {"layer1.0.conv1.weight": _RESNET_18, "layer4.1.conv2.weight": None},
           ("layer3.2.conv1.weight", "layer0.conv1.weight"), _AS_BACKBONE),
    Layout("a ResNet-50 classifier", OTHER, {"layer1.0.conv1.weight": _RESNET_50, "layer3.5.conv1.weight": None},
           ("layer3.6.conv1.weight",), _AS_BACKBONE),
    Layout("a DenseNet-161 classifier", OTHER, {"features.conv0.weight": (96, 3, 7, 7)}, advice=_AS_BACKBONE),
    Layout("a SENet-154 classifier", OTHER, {"layer0.conv1.weight": (64, 3, 3, 3), "layer3.35.conv1.weight": None},
           advice=_AS_BACKBONE),
    Layout("a DRN-D-22 classifier", OTHER, {"layer0.0.weight": (16, 3, 7, 7), "layer8.0.weight": None},
           advice=_AS_BACKBONE),
    Layout("a depth model of transformers", OTHER, {"neck.reassemble_stage.layers.0.projection.weight": None},
           advice="Give the folder with its config.json: hf:FOLDER."),
)


def recognise(state: Mapping[str, Tensor]) -> Layout | None:
    """The layout of a state dict whose keys are in today's spelling (see `read_state`); None where it is unknown."""
    return next((layout for layout in LAYOUTS if layout.fits(state)), None)
