"""Pictures as findings see them, with masks and truth made by hand."""

from collections.abc import Mapping

import torch
from torch import Tensor

from depthcue.data import SceneTruth
from depthcue.evaluation.cells import EDGES, MASK, TRUE_DEPTH, MaskedBatch, attention_of, edge_strength
from depthcue.scorers import keep_top


def masked_batches(rgb: Tensor, mask: Tensor, truth: SceneTruth | None = None, depth_m: Tensor | None = None,
                   stored: tuple[Tensor, Tensor] | None = None, share: float = 0.2) -> MaskedBatch:
    """B pictures (B, 3, H, W) with the masks (B, 1, H, W) that a mask net might have given them."""
    strength = edge_strength(rgb)
    return MaskedBatch([f"picture-{row}" for row in range(len(rgb))], rgb, mask.mean(dim=(1, 2, 3)),
                       {MASK: attention_of(mask), EDGES: attention_of(strength)},
                       {MASK: keep_top(mask, share), EDGES: keep_top(strength, share)},
                       strength, depth_m, TRUE_DEPTH, stored, truth)


def scene_truth(count: int, height: int, width: int, edges: Mapping[str, Tensor] | None = None,
                objects: Tensor | None = None, vanishing_point: tuple[float, float] = (0.0, 0.0)) -> SceneTruth:
    """The truth of `count` pictures: no edges, one object and the vanishing point in the corner, unless given."""
    none = torch.zeros(count, 1, height, width, dtype=torch.bool)
    return SceneTruth(dict.fromkeys(("occlusion", "crease", "texture", "shadow"), none) | dict(edges or {}),
                      torch.zeros(count, 3, height, width), none.long() if objects is None else objects, none.long(),
                      torch.zeros(count), torch.tensor([vanishing_point] * count), [["thing"] * 100] * count)
