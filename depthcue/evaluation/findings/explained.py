"""How much of a mask two properties of a pixel explain: edge strength, and what kind of edge it is.

A per-pixel analysis of variance. Strength is cut into bins. Three models of the attention of a pixel are nested in one
another: a mean for every bin of strength; a mean for every kind; a mean for every pair of both. The means are fitted on
all pictures but one and predict that one, in turn, and

    R² = 1 - (squared error of the model) / (squared error of one mean for all pixels)

over the predicted pictures. So a property that tells nothing explains nothing, where in-sample R² would grow with every
bin; it may even come out a little below 0. The share of kind given strength is R² of both minus R² of strength alone.
"""

from typing import Any

import numpy as np

from depthcue.evaluation.findings.cells import Floats, Samples, divided

STRENGTH, KIND, BOTH = "strength", "kind", "both"


def explained(counts: Floats, sums: Floats, squares: Floats, weights: Floats) -> dict[str, Any]:
    """R² of the three models, and what each property adds to the other, with intervals over pictures.

    Args:
        counts: pixels of each picture in each cell, (pictures, strengths, kinds).
        sums, squares: of the attention, of the same shape.
        weights: of the pictures in each resample, (draws, pictures).

    Returns:
        Entries (see `Samples.entry`) by STRENGTH, KIND, BOTH, `kind_given_strength`, `strength_given_kind`; None
        where nothing can be said: a single picture, or no variance.
    """
    everything = np.vstack([np.full((1, len(counts)), 1 / len(counts)), weights])
    errors = left_out_errors(counts, sums, squares)
    whole = everything @ errors["none"]
    images = int(counts.any(axis=(1, 2)).sum())
    fits = {name: Samples(1 - divided(everything @ errors[name], whole), images) for name in (STRENGTH, KIND, BOTH)}
    measures = fits | {"kind_given_strength": fits[BOTH] - fits[STRENGTH],
                       "strength_given_kind": fits[BOTH] - fits[KIND]}
    return {name: samples.entry() for name, samples in measures.items()}


def left_out_errors(counts: Floats, sums: Floats, squares: Floats) -> dict[str, Floats]:
    """The squared error of each model in each picture, (pictures,), fitted on the other pictures.

    A cell that no other picture has is predicted by its strength alone, a strength that none has by the mean of all.
    `none` is the model of one mean for all.
    """
    other_counts, other_sums = counts.sum(0) - counts, sums.sum(0) - sums
    mean = divided(other_sums.sum((1, 2)), other_counts.sum((1, 2)))[:, None, None]

    def fitted(axis: int | None, otherwise: Floats) -> Floats:
        found = (divided(other_sums, other_counts) if axis is None else
                 divided(other_sums.sum(axis, keepdims=True), other_counts.sum(axis, keepdims=True)))
        result: Floats = np.where(np.isfinite(found), found, otherwise)
        return result

    strength = fitted(2, mean)
    models = {"none": mean, STRENGTH: strength, KIND: fitted(1, mean), BOTH: fitted(None, strength)}
    return {name: (squares - 2 * model * sums + model**2 * counts).sum((1, 2)) for name, model in models.items()}
