"""The tables of an evaluation: Table 1, the paper's beside it, thresholds, fills, orders, character, sanity checks."""

from depthcue.report.published import ORIGINAL_RMSE, SOURCE, TABLE_1, is_the_papers
from depthcue.report.results import TARGET, TRUTH, Results, fields_for, measured_against
from depthcue.report.tables import MANY, Table, label_of, setting_column, setting_name, setting_title

_MEANS = {"abs_rel": "abs rel", "log10": "log10", "delta1": "δ1", "delta2": "δ2", "delta3": "δ3"}
_HIDDEN = "RMSE(1 − M)"
COMPARED = ("contrast", "sobel")
"""What is told of under every fill where there are too many ways for columns."""
_AGAINST = {TRUTH: "truth", TARGET: "target"}


def evaluation_tables(results: Results) -> list[Table]:
    """All tables for which the document has numbers."""
    tables = []
    for reference in measured_against(results):
        tables.append(table_1(results, reference))
        if "abs_rel" in results["table"][0]["soft"][_AGAINST[reference]]:
            tables.append(measures_table(results, reference))
    if is_the_papers(results):
        tables.append(beside_the_papers(results))
    if results["orders"]:
        tables.append(orders_table(results))
    if results["fills"]:
        tables.append(fills_table(results))
    # results of earlier versions have neither of these
    if results.get("under_fills"):
        tables.append(under_fills_table(results))
    if results.get("character"):
        tables.append(character_table(results))
    if results["thresholds"]:
        tables.append(thresholds_table(results))
    if results["sanity"]:
        tables.append(kept_table(results))
        tables += [agreement_table(results, kind) for kind, chance in results["sanity"]["chance"].items() if chance]
    return tables


def table_1(results: Results, reference: str) -> Table:
    """RMSE through M, M' and 1 - M, and sparseness, for every setting; N itself above them."""
    against = _AGAINST[reference]
    rows: list[tuple[str, ...]] = []
    if reference == TRUTH:
        error = _with_interval(results["original"], "rmse")
        rows.append(("original", "1", "1", error, error, ""))
    for entry in results["table"]:
        rows.append((_asked(results, entry), f"{entry['mean']:.3f}", f"{entry['sparseness']:.3f}",
                     *(_with_interval(entry[way][against], "rmse") for way in ("soft", "binary", "hidden"))))
    filled = "" if results["fill"] == "mean" else f"; hidden pixels show {results['fill']}"
    return Table(f"RMSE in metres against {reference} (95 %); M' = M > {results['threshold']:g}, sparseness = its "
                 f"share of pixels; {results['images']} images of {results['data']['spec']}{filled}",
                 (setting_column(results["table"]), "mean of M", "sparseness", "RMSE(M)", "RMSE(M')", _HIDDEN),
                 tuple(rows))


def measures_table(results: Results, reference: str) -> Table:
    """The other measures through M and M', for every setting; N itself above them."""
    against = _AGAINST[reference]
    rows: list[tuple[str, ...]] = []
    if reference == TRUTH:
        rows.append(("original", *(f"{results['original'][name]:.3f}" for name in _MEANS)))
    rows += [(_asked(results, entry), *(f"{entry['soft'][against][name]:.3f} / {entry['binary'][against][name]:.3f}"
                                        for name in _MEANS)) for entry in results["table"]]
    return Table(f"Other measures against {reference}, through M / M'; their intervals are in results.json",
                 (setting_column(results["table"]), *_MEANS.values()), tuple(rows))


def beside_the_papers(results: Results) -> Table:
    """The paper's numbers and ours, at the lambdas that both have."""
    ours = {entry["lambda"]: entry for entry in results["table"] if "keep" not in entry}
    original = f"{results['original']['rmse']:.3f}"
    rows = [("original", f"{ORIGINAL_RMSE:.3f}", original, f"{ORIGINAL_RMSE:.3f}", original, "1.000", "1.000")]
    for row in TABLE_1:
        if entry := ours.get(row.lam):
            rows.append((f"{row.lam:g}", f"{row.rmse:.3f}", f"{entry['soft']['truth']['rmse']:.3f}",
                         f"{row.rmse_binary:.3f}", f"{entry['binary']['truth']['rmse']:.3f}",
                         f"{row.sparseness:.3f}", f"{entry['sparseness']:.3f}"))
    return Table(f"The paper's Table 1 beside ours ({SOURCE}: 654 images of NYU-v2, another training of the network)",
                 ("lambda", "RMSE(M) paper", "ours", "RMSE(M') paper", "ours", "sparseness paper", "ours"), tuple(rows))


def thresholds_table(results: Results) -> Table:
    """M > threshold, for every threshold of the sweep."""
    errors = [(fields_for(reference)[0], reference) for reference in measured_against(results)]
    rows = tuple((f"{entry['threshold']:g}", f"{entry['sparseness']:.3f}",
                  *(_with_interval(entry, error) for error, _ in errors)) for entry in results["thresholds"])
    return Table(f"M > threshold at {setting_title(results['in_question'])}; RMSE in metres (95 %)",
                 ("threshold", "share kept", *(f"against {reference}" for _, reference in errors)), rows)


def fills_table(results: Results) -> Table:
    """What is lost with each thing that hidden pixels can show."""
    reference = measured_against(results)[-1]
    error, _ = fields_for(reference)
    columns = {"soft": "RMSE(M)", "binary": "RMSE(M')", "hidden": _HIDDEN, "nothing": "all hidden"}
    rows = tuple((fill, *(_with_interval(entry[way], error) for way in columns))
                 for fill, entry in results["fills"].items())
    return Table(f"What hidden pixels show, at {setting_title(results['in_question'])}; RMSE in metres against "
                 f"{reference} (95 %)", ("fill", *columns.values()), rows)


def under_fills_table(results: Results) -> Table:
    """Equally many pixels of the mask and of others under every fill: the mask's error, the others' minus it."""
    reference = measured_against(results)[-1]
    error, minus = fields_for(reference)
    curves = results["under_fills"]
    others = [method for method in next(iter(curves.values())) if method != "mask"]
    if len(others) > MANY:
        others = [method for method in others if method in COMPARED]
    rows = []
    for fill, methods in curves.items():
        for place, entry in enumerate(methods["mask"]):
            differences = (_with_interval(methods[method][place], minus, "+.3f") for method in others)
            rows.append((fill, f"{entry['sparseness']:.0%}", _with_interval(entry, error), *differences))
    return Table(f"Equally many pixels whatever hidden pixels show; RMSE in metres against {reference} (95 %)",
                 ("fill", "kept", "mask", *(f"{label_of(method)} − mask" for method in others)), tuple(rows))


def character_table(results: Results) -> Table:
    """What kind of selection the mask is."""
    found = results["character"]
    low, high = found["bounds"]
    rows = [(f"values between {low:g} and {high:g}", _with_interval(found["undecided"], "value"))]
    if found["border_ratio"]:
        rows.append((f"mean of the outer {found['border_px']} pixels over that of the rest",
                     _with_interval(found["border_ratio"], "value")))
    rows += [(f"rank correlation with {label_of(method)}", _with_interval(entry, "value"))
             for method, entry in found["correlation"].items()]
    rows += [(f"of the {entry['smaller']:.0%} kept, also among the {entry['larger']:.0%}",
              _with_interval(entry, "value")) for entry in found["nesting"] or ()]
    return Table(f"What kind of selection the mask is, at lambda {results['in_question']['lambda']:g} (95 %); shares "
                 "have a lambda each where the mask net has a dial", ("", "mean over images"), tuple(rows))


def orders_table(results: Results) -> Table:
    """The areas under the insertion and deletion curves."""
    reference = measured_against(results)[-1]
    error, _ = fields_for(reference)
    rows = []
    for method in results["orders"]["insertion"]:
        row = [label_of(method)]
        for way in ("insertion", "deletion"):
            entry = results["orders"][way][method]
            low, high = entry[f"{error}_area_minus_mask_ci95"]
            above = entry[f"{error}_area_minus_mask"]
            row += [f"{entry[f'{error}_area']:.3f}",
                    "" if method == "mask" else f"{above:+.3f} ({low:+.3f} to {high:+.3f})"]
        rows.append(tuple(row))
    return Table(f"Area under insertion (small is good) and deletion (large is good), at "
                 f"{setting_title(results['in_question'])}: mean RMSE in metres against {reference}",
                 ("order", "insertion", "− mask (95 %)", "deletion", "− mask (95 %)"), tuple(rows))


def kept_table(results: Results) -> Table:
    """How much of the answer of N, and of randomised nets, is lost with equally many pixels."""
    sanity = results["sanity"]
    others = list(sanity["stages"][0]["advantage"])
    rows = tuple((_stage(stage), *(f"{stage['lost'][name]:.2f}" for name in ("mask", *others)),
                  *(_with_interval(stage["advantage"][name], "value", "+.2f") for name in others))
                 for stage in sanity["stages"])
    return Table(f"Sanity: share of the net's answer lost with {sanity['share']:.0%} of the pixels; "
                 f"{sanity['images']} images", ("layers randomised", "mask", *(label_of(name) for name in others),
                                                *(f"{label_of(name)} − mask (95 %)" for name in others)), rows)


def agreement_table(results: Results, kind: str) -> Table:
    """How like the masks for N those for randomised nets are, of one kind: `direct` or `retrained`."""
    sanity = results["sanity"]
    names = {"pearson": "correlation", "ssim": "SSIM", "iou": "overlap"}
    rows = [(_stage(stage), *(_with_interval(stage[kind], name) for name in names))
            for stage in sanity["stages"] if stage[kind]]
    rows.append(("chance: another picture", *(_with_interval(sanity["chance"][kind], name) for name in names)))
    how = {"direct": f"Eq. (3) for each net; {sanity['direct_images']} images",
           "retrained": f"the mask net trained on for {sanity['steps']} steps for each; {sanity['images']} images"}
    return Table(f"Sanity: agreement with the masks for the intact net, {how[kind]} (95 %)",
                 ("layers randomised", *names.values()), tuple(rows))


def _asked(results: Results, entry: Results) -> str:
    """The setting, and of which mask net where several were asked for the same."""
    rivals = sum(setting_name(other) == setting_name(entry) for other in results["table"]) > 1
    return setting_name(entry) + (f" ({results['weights'][entry['weights']]['name']})" if rivals else "")


def _stage(stage: Results) -> str:
    return "none" if stage["layers"] == 0 else f"{stage['layers']} of {stage['of']}, from {stage['deepest']}"


def _with_interval(entry: Results, name: str, form: str = ".3f") -> str:
    low, high = entry[f"{name}_ci95"]
    return f"{entry[name]:{form}} ({low:{form}} to {high:{form}})"
