"""Results as tables of text, for a terminal or a page."""

from dataclasses import dataclass

from depthcue.report.results import TARGET, TRUTH, Results, fields_for, measured_against

LABELS = {"mask": "mask", "sobel": "edges", "random": "random"}
"""Short names of ways to choose pixels; any other goes by its own."""


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def label_of(method: str) -> str:
    """What a way to choose pixels is called in tables and figures."""
    return LABELS.get(method, method)


def comparison_tables(results: Results) -> list[Table]:
    """The tables of compare-edges: curves against ground truth (where there is any) and against N(I); soft maps."""
    curves = [curves_table(results, reference) for reference in measured_against(results)]
    return [*curves, soft_table(results)] if results["soft"] else curves


def curves_table(results: Results, reference: str) -> Table:
    """RMSE at equal sparseness for every method, and how far the others are above the mask (95 % intervals)."""
    error, difference = fields_for(reference)
    methods = list(results["curves"])
    others = methods[1:]
    columns = ["pixels kept", "mask", *(column for other in others
                                        for column in (label_of(other), f"{label_of(other)} − mask (95 %)"))]
    rows = []
    for position, entry in enumerate(results["curves"]["mask"]):
        row = [f"{entry['sparseness']:.0%}", f"{entry[error]:.3f}"]
        for other in others:
            theirs = results["curves"][other][position]
            low, high = theirs[f"{difference}_ci95"]
            row += [f"{theirs[error]:.3f}", f"{theirs[difference]:+.3f} ({low:+.3f} to {high:+.3f})"]
        rows.append(tuple(row))
    if reference == TRUTH:
        rows.append(("100%", f"{results['target']['rmse']:.3f}", *[""] * (2 * len(others))))
    title = f"RMSE in metres against {reference}; {results['images']} images of {results['data']['spec']}"
    return Table(title, tuple(columns), tuple(rows))


def soft_table(results: Results) -> Table:
    """Soft maps at the lambdas used: M, its binary M', and the other maps scaled to the mean of M."""
    reference = measured_against(results)[0]
    error, _ = fields_for(reference)
    others = [method for method in results["curves"] if method != "mask"]
    threshold = results["soft"][0]["binary"]["threshold"]
    columns = ("lambda", "mean of M", "RMSE(M)", f"share M > {threshold:g}", "RMSE(M')",
               *(f"soft {label_of(other)}" for other in others))
    rows = tuple(
        (f"{entry['lambda']:.3g}", f"{entry['mask']['mean']:.3f}", f"{entry['mask'][error]:.3f}",
         f"{entry['binary']['sparseness']:.3f}", f"{entry['binary'][error]:.3f}",
         *(f"{entry[other][error]:.3f}" for other in others))
        for entry in results["soft"])
    return Table(f"Soft maps, the others scaled to the mean of M; RMSE in metres against {reference}", columns, rows)


def in_words(results: Results, share: float = 0.2) -> str:
    """One sentence on what the comparison found at about `share` of the pixels, whatever it found."""
    reference = TRUTH if results["ground_truth"] else TARGET
    error, difference = fields_for(reference)
    mask = min(results["curves"]["mask"], key=lambda entry: abs(entry["sparseness"] - share))
    position = results["curves"]["mask"].index(mask)
    parts = []
    for method, entries in results["curves"].items():
        if method == "mask":
            continue
        low, high = entries[position][f"{difference}_ci95"]
        verdict = "" if low > 0 else " (less than with the mask)" if high < 0 else " (no clear difference)"
        parts.append(f"{entries[position][error]:.2f} m with {label_of(method)}{verdict}")
    whole = f"; from the whole picture it is {results['target']['rmse']:.2f} m" if reference == TRUTH else ""
    against = "" if reference == TRUTH else ", measured against what it sees in the whole picture"
    others = f", {' and '.join(parts)}" if parts else ""
    return (f"With {mask['sparseness']:.0%} of the pixels left, the depth is off by {mask[error]:.2f} m when the mask "
            f"chooses them{others}{whole}{against}.")
