"""Colours of masks and depths by name, and the colour that an overlay gives a pixel by its mask.

An overlay is linear in the picture: kept(M) · colour + grey(M) · light + ground(M), three functions of the mask alone.
So tables of 256 values draw it on RGB and on the luma and chroma of a video alike.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from depthcue.errors import DepthcueError, did_you_mean, must_be_one_of

if TYPE_CHECKING:  # the command line shows its help without numpy
    import numpy as np
    from numpy.typing import NDArray

Scale: TypeAlias = "NDArray[np.uint8]"
"""uint8 (256, 3): RGB by level."""

# Evenly spaced anchors. Lightness changes steadily, so that they read in print and to colour-blind eyes. Inferno
# follows Matplotlib's (CC0), to within a few levels, and is there without loading it.
_OWN = {
    "inferno": ("#000004", "#160b39", "#420a68", "#6a176e", "#932667", "#bc3754", "#dd513a", "#f37819", "#fca50a",
                "#f6d746", "#fcffa4"),
    "dusk": ("#fdf3c4", "#fbd37b", "#f9a65a", "#ee7554", "#d24b62", "#a93577", "#7b2a85", "#4e2483", "#2a1a62",
             "#110d33"),
}
MASK_COLOURS, DEPTH_COLOURS = "inferno", "dusk"
"""The defaults; in dusk near is pale and far dark."""
STYLES = {"kept": 0.85, "heat": 0.7, "contour": 1.0}
"""Styles of overlays, and the default opacity of each."""

_HIDDEN_LIGHT = 0.42
"""Share of its light that a hidden pixel keeps at full opacity."""
_HIDDEN_GROUND = (20.0, 22.0, 27.0)
"""Light added to a hidden pixel: the kept pixels of a dark picture stay distinguishable from it."""
_CONTOUR_LEVEL = 0.8
"""Level in the scale of the contours' colour."""


@lru_cache(maxsize=32)
def colour_scale(name: str, option: str = "--colormap") -> Scale:
    """The colour scale called `name`: inferno, dusk, or any of Matplotlib's; read-only.

    Raises:
        DepthcueError: there is none.
    """
    import numpy as np

    if name in _OWN:
        anchors = np.array([[int(anchor[i:i + 2], 16) for i in (1, 3, 5)] for anchor in _OWN[name]], np.float64)
        at = np.linspace(0, len(anchors) - 1, 256)
        levels = np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)], axis=1)
    else:
        from matplotlib import colormaps

        if name not in colormaps:
            raise DepthcueError(f"{option} must be one of {', '.join(_OWN)} or a colour map of Matplotlib's, "
                                f"got {name!r}", did_you_mean(name, [*_OWN, *colormaps]) +
                                "Matplotlib has viridis, cividis and turbo, for example.")
        levels = colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255
    scale = (levels + 0.5).astype(np.uint8)
    scale.flags.writeable = False
    return scale


@dataclass(frozen=True)
class Look:
    """Colours and styles of masks and depths."""

    style: str = "kept"
    """kept: the picture with all but the kept pixels grey and dim. heat: the grey picture under the mask's colours.
    contour: the picture with a line around what is kept."""
    opacity: float | None = None
    """0 shows the picture as it is, 1 covers as much of it as the style can; None: the style's own."""
    mask_colours: str = MASK_COLOURS
    depth_colours: str = DEPTH_COLOURS

    def checked(self) -> "Look":
        """Itself.

        Raises:
            DepthcueError: an unknown style or colour map, or an opacity outside 0 to 1.
        """
        if self.style not in STYLES:
            raise must_be_one_of("--style", STYLES, self.style)
        if self.opacity is not None and not 0 <= self.opacity <= 1:
            raise DepthcueError(f"--opacity must be from 0 to 1, got {self.opacity:g}",
                                "0 shows the picture as it is, 1 covers as much as the style can.")
        colour_scale(self.mask_colours)
        colour_scale(self.depth_colours, "--depth-colormap")
        return self


USUAL = Look()


@dataclass(frozen=True, eq=False)
class Blend:
    """Mapping of an overlay from a pixel to its shown colour, by mask level; convex, so that channels stay in 0 to
    255."""

    kept: "NDArray[np.float64]"
    """(256,): share of the pixel's own colour."""
    grey: "NDArray[np.float64]"
    """(256,): share of its light."""
    ground: "NDArray[np.float64]"
    """(256, 3): what is added, RGB from 0 to 255."""


@lru_cache(maxsize=32)
def blend_of(look: Look) -> Blend:
    """The blend of a style; for contours, the mask given to it is the line's."""
    import numpy as np

    opacity = STYLES[look.style] if look.opacity is None else look.opacity
    mask = np.arange(256) / 255
    scale = colour_scale(look.mask_colours).astype(np.float64)
    if look.style == "heat":
        # where the mask is low the picture shows; its square root, so that a little is seen
        covered = opacity * np.sqrt(mask)
        return Blend((1 - covered) * (1 - opacity), (1 - covered) * opacity, covered[:, None] * scale)
    if look.style == "contour":
        covered = opacity * mask
        return Blend(1 - covered, np.zeros(256), covered[:, None] * scale[round(255 * _CONTOUR_LEVEL)])
    hidden = opacity * (1 - mask)
    return Blend(1 - hidden, hidden * _HIDDEN_LIGHT, hidden[:, None] * np.array(_HIDDEN_GROUND))


def outline(mask: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """A line around the kept pixels (those from 128 on) of a mask uint8 (H, W), outside of them: 0 and 255.

    As thick as can be seen at the picture's size: one pixel for each 300 of the shorter side.
    """
    import numpy as np

    kept = mask >= 128
    grown = kept.copy()
    for _ in range(max(round(min(kept.shape) / 300), 1)):
        wider = grown.copy()
        wider[1:] |= grown[:-1]
        wider[:-1] |= grown[1:]
        wider[:, 1:] |= grown[:, :-1]
        wider[:, :-1] |= grown[:, 1:]
        grown = wider
    return (grown & ~kept).astype(np.uint8) * np.uint8(255)


@lru_cache(maxsize=32)
def planes_of(look: Look) -> "tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]":
    """The blend in luma and chroma (BT.709, limited range): three tables uint8 (65536,), by 256 · mask + value."""
    import numpy as np

    blend, value = blend_of(look), np.arange(256, dtype=np.float64)[None]
    red, green, blue = blend.ground.T / 255
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    luma = 16 + (value - 16) * (blend.kept + blend.grey)[:, None] + (219 * light)[:, None]
    around = 128 + (value - 128) * blend.kept[:, None]
    tables = (luma, around + (224 * (blue - light) / 1.8556)[:, None],
              around + (224 * (red - light) / 1.5748)[:, None])
    first, second, third = ((table.clip(0, 255) + 0.5).astype(np.uint8).ravel() for table in tables)
    return first, second, third
