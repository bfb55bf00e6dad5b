"""Fill the published numbers: blocks of RESULTS.md, of the README and of the guides, from the result files.

    python benchmarks/fill_results.py [--check]

A block stands between `<!-- filled: NAME -->` and `<!-- end -->`; nothing in it is typed by hand. The tree of the code
comes from the first lines of the modules. With --check nothing is written; the exit status is 1 where a document
differs from the files, and the documents that differ are named.
"""

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from depthcue.report import compare_nets as agreement
from depthcue.report.bench import best_timing, in_order
from depthcue.report.compare_losses import changes_in_words
from depthcue.report.evaluate import beside_the_papers, character_table
from depthcue.report.evaluate import in_words as evaluation_in_words
from depthcue.report.findings import in_words
from depthcue.report.probe import in_words as probe_in_words
from depthcue.report.probe import profile_in_words, where_the_mask_lies
from depthcue.report.tables import ENOUGH, label_of, number
from depthcue.results import read_result

HERE = Path(__file__).resolve().parent
DOCUMENTS = (HERE.parent / "README.md", HERE / "RESULTS.md", HERE.parent / "depthcue" / "guides" / "developing.md")
PACKAGE = HERE.parent / "depthcue"
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""Of pixels kept, where they were measured."""


def read(name: str) -> Any:
    return read_result(HERE / "results" / f"{name}.json")


def comparison(name: str, to_target: bool = False) -> str:
    """RMSE at equal sparseness, and whether the mask's lead is more than chance.

    Against ground truth where there is any, unless what the net sees in the whole picture is asked for.
    """
    results = read(name)
    truth = results["ground_truth"] and not to_target
    error, lead = ("rmse", "minus_mask_ci95") if truth else ("rmse_to_target", "to_target_minus_mask_ci95")
    methods = list(results["curves"])
    lines = [f"| pixels kept | {' | '.join(methods)} |", "|---" * (len(methods) + 1) + "|"]
    for share in SHARES:
        cells = []
        for method in methods:
            point = next((point for point in results["curves"][method] if abs(point["sparseness"] - share) < 1e-6),
                         None)
            if point is None:
                break
            cell = f"{point[error]:.3f}"
            if method != "mask":
                low, high = point[lead]
                cell += f" (+{low:.3f} to +{high:.3f})" if low > 0 else f" ({low:+.3f} to {high:+.3f})"
            cells.append(cell)
        else:
            lines.append(f"| {share:.0%} | {' | '.join(cells)} |")
    target = results["target"]
    of_pictures = results["per_image"]["target"]["rmse"]
    scaled = f" ({target['abs_rel_scaled']:.3f} median-scaled)" if "abs_rel_scaled" in target else ""
    whole = (f"The whole picture: RMSE {target['rmse']:.3f} m ({sum(of_pictures) / len(of_pictures):.3f} m where each "
             f"picture's own is averaged, as FastDepth's authors do), abs rel {target['abs_rel']:.3f}"
             f"{scaled}, δ1 {target['delta1']:.3f}. " if truth else "")
    against = "ground truth" if truth else "what the net sees in the whole picture"
    return "\n".join([f"{whole}{results['images']} images; RMSE in metres against {against}; in brackets the 95% "
                      "interval of the paired difference to the mask.", "", *lines])


def short_comparison() -> str:
    """The README's one table: RMSE of the shipped indoor net with equally many pixels by several scorers."""
    results = read("compare-edges-nyu")
    scorers = {"mask": "mask", "sobel": "Sobel edges", "hed": "HED edges", "contrast": "contrast", "random": "random"}
    lines = [f"| pixels kept | {' | '.join(scorers.values())} |", "|---:" * (1 + len(scorers)) + "|"]
    others = []
    for share in SHARES:
        points = {name: next(point for point in results["curves"][name] if abs(point["sparseness"] - share) < 1e-6)
                  for name in scorers}
        others += [f"{scorers[name]} at {share:.0%} ({low:+.2f} to {high:+.2f})" for name in scorers if name != "mask"
                   for low, high in [points[name]["minus_mask_ci95"]] if low <= 0]
        cells = " | ".join(f"{point['rmse']:.2f}" for point in points.values())
        lines.append(f"| {share:.0%} | {cells} |")
    exceptions = f", but for {', '.join(others)}" if others else ""
    verdict = (f"The mask is clearly ahead in every row{exceptions}: the 95% interval of the paired difference is "
               "above 0.")
    return "\n".join([*lines, "", f"RMSE in metres on {results['images']} NYU-v2 test pictures; from the whole picture "
                      f"{results['target']['rmse']:.2f} m. {verdict}"])


def published_nets() -> str:
    """How often the mask is clearly ahead where published networks are explained."""
    clauses = []
    for title, name, data in (("FastDepth", "compare-edges-fastdepth", "NYU-v2 test pictures"),
                              ("PyDNet", "compare-edges-pydnet-kitti", "KITTI frames"),
                              ("PyDNet", "compare-edges-pydnet-roads", "rendered roads")):
        results = read(name)
        intervals = [point["to_target_minus_mask_ci95"] for scorer, curve in results["curves"].items()
                     if scorer != "mask" for point in curve if point["sparseness"] < 1]
        ahead, behind = (sum(bound(interval) for interval in intervals)
                         for bound in (lambda ends: ends[0] > 0, lambda ends: ends[1] < 0))
        clauses.append(f"{ahead} for {title} on {results['images']} {data}"
                       + (f" (clearly behind in {behind})" if behind else ""))
    return (f"Published networks: of {len(intervals)} pairs of a scorer (Sobel, Canny, HED, contrast, random) and a "
            f"share (5 to 70%), the mask is clearly ahead in {', '.join(clauses[:-1])}, and {clauses[-1]}: RMSE "
            "against what the network sees in the whole picture.")


def findings(name: str) -> str:
    """What a findings run came to, in its own words; what could not be asked of the data is left to its report."""
    return "\n".join(f"- {sentence}" for sentence in in_words(read(name)) if "Nothing is said" not in sentence)


def evaluation(name: str, data: str) -> str:
    """What masks at every share came to, on how many images of which data, and what it depends on."""
    results = read(name)
    lines = [f"{results['images']} images of {data}.", "",
             *(f"- {sentence}" for sentence in evaluation_in_words(results))]
    if results.character:
        found = "; ".join(f"{what}: {value}" for what, value in character_table(results).rows)
        lines.append(f"- What kind of selection the mask is: {found}.")
    return "\n".join(lines)


def paper_table() -> str:
    """The paper's Table 1 beside ours."""
    results = read("paper-table1")
    table = beside_the_papers(results)
    lines = [f"| {' | '.join(cells)} |" for cells in (table.columns, ("---",) * len(table.columns), *table.rows)]
    return "\n".join([f"{table.title}. Ours: {results['images']} images; RMSE in metres.", "", *lines])


def paper_figure() -> str:
    """The paper's Fig. 5: soft maps of equal mean, then binary ones of equal sparseness."""
    results = read("paper-fig5")
    soft = results["soft"][0]
    rivals = []
    for rival in results["curves"]:
        if rival != "mask":
            low, high = soft[rival]["minus_mask_ci95"]
            rivals.append(f"{label_of(rival)} {soft[rival]['rmse']:.3f} ({low:+.3f} to {high:+.3f})")
    return (f"Soft maps of the mask's mean, {soft['mask']['mean']:.3f}: RMSE through the mask "
            f"{soft['mask']['rmse']:.3f}, {', '.join(rivals)}. Binary maps of equal sparseness:\n\n"
            + comparison("paper-fig5"))


def nets(name: str = "compare-nets") -> str:
    """Whether several nets look at the same pixels, and can use each other's."""
    results = read(name)
    sentences = (agreement.in_words(results), *agreement.agreement_in_words(results),
                 *agreement.transfer_in_words(results))
    return "\n".join(f"- {sentence}" for sentence in sentences)


def steady() -> str:
    """How many kept pixels stay kept from frame to frame, on a real walk and on rendered flights."""
    lines = ["| frames | pairs | mask | mask, steady | edges | random | error, steady to plain |", "|---" * 7 + "|"]
    for title, name in (("hand-held walk, 7-Scenes", "steadiness-walk"), ("flights along rendered roads",
                                                                         "steadiness-roads")):
        results = read(name)
        cells = [f"{number(entry, 'overlap')}" for entry in results.ways.values()]
        ratio = number(results.ways["mask, steady"], "rmse_times_mask", ".2f")
        lines.append(f"| {title} | {results.pairs} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def warm_start() -> str:
    """Error through 20% of the pixels after some steps, from other networks' masks and from nothing."""
    results = read("warm-start")
    lines = []
    for name, net in results["nets"].items():
        curves = {start: dict(map(tuple, found["curve"])) for start, found in net["starts"].items()}
        steps = list(curves["general"])
        edges = next(iter(net["starts"].values()))["at_the_end"]
        beside = ", ".join(f"{label_of(way)} {edges[way]['rmse_to_target']:.3f}" for way in edges if way != "mask")
        lines += [f"{name} ({beside}):", "", f"| steps | {' | '.join(str(step) for step in steps)} |",
                  "|---" * (1 + len(steps)) + "|",
                  *(f"| {title} | {' | '.join(f'{curves[start][step]:.3f}' for step in steps)} |" for start, title in (
                      ("general", f"from masks for {', '.join(net['others'])}"), ("nothing", "from nothing"))), ""]
    return "\n".join(lines).rstrip()


def black_box() -> str:
    """Error through shares of the pixels of a depth net explained with its gradients and through a surrogate."""
    results = read("black-box")
    curves = results["curves"]
    shares = [point["sparseness"] for point in curves["sobel"]]
    lines = [f"| pixels kept | {' | '.join(label_of(way) for way in curves)} |", "|---" * (1 + len(curves)) + "|"]
    for row, share in enumerate(shares):
        cells = " | ".join(f"{curve[row]['rmse_to_target']:.2f}" for curve in curves.values())
        lines.append(f"| {share:.0%} | {cells} |")
    return "\n".join([*lines, "", f"{results['test_pictures']} test pictures; {results['steps']} steps of "
                      f"{results['batch_size']} pictures each. On whole pictures the surrogate is "
                      f"{results['surrogate_to_target']:.2f} m off the network."])


def losses() -> str:
    """What changes in the masks with the loss that the depth net was trained with."""
    return "\n".join(f"- {sentence}" for sentence in changes_in_words(read("compare-losses")))


def training_cost() -> str:
    """What training the paper's mask net for the paper's depth net costs, in multiples of the released way."""
    results = read("mask-training-cost-cpu")
    height, width = results["size"]
    lines = [f"| {results['mask_net']} for {results['target']}, {width}x{height} | times as fast | peak memory |",
             "|---" * 3 + "|"]
    for way, cost in results["ways"].items():
        lines.append(f"| {way} | {cost['speed_up']:.2f} | {cost['peak_mib'] / 1024:.1f} GiB |")
    return "\n".join(lines)


def cues(*names: str) -> str:
    """Weights of the cues for several depth nets, and what these come to in words."""
    nets = [read(name) for name in names]
    columns = {(results["target_net"]["name"], stage): {entry["cue"]: entry for entry in results["profile"]
                                                        if entry["stage"] == stage}
               for results in nets for stage in results["stages"]}
    rows = list(dict.fromkeys(cue for column in columns.values() for cue in column))
    lines = [f"| cue | {' | '.join(f'{net}, {stage}' for net, stage in columns)} |", "|---" * (1 + len(columns)) + "|"]
    for cue in rows:
        cells = [_interval(column[cue]) if cue in column else "" for column in columns.values()]
        lines.append(f"| {cue} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {sentence}" for results in nets
                                   for sentence in (*profile_in_words(results), *where_the_mask_lies(results)))])


def beside_the_second_paper(name: str) -> str:
    """What a depth net sees where cues conflict, beside what was published of other networks."""
    results = read(name)
    words = ("published", "Published", "shadow adds", "with their shadow")
    return "\n".join(f"- {sentence}" for sentence in dict.fromkeys(probe_in_words(results))
                     if any(word in sentence for word in words))


def _interval(value: dict[str, Any]) -> str:
    if value["value"] is None:
        return ""
    scenes = f"{value['n']} scene" + ("" if value["n"] == 1 else "s")
    if value["ci95"] is None:
        return f"{value['value']:.2f} ({scenes}: too few to tell)"
    low, high = value["ci95"]
    few = f"; {scenes}: too few to tell" if value["n"] < ENOUGH else ""
    return f"{value['value']:.2f} ({low:.2f} to {high:.2f}{few})"


def endurance() -> str:
    """Memory over hours of a stream."""
    results = read("endurance")
    minutes = results["seconds"] / 60
    return (f"{results['frames']:,} frames masked in {minutes:.0f} minutes, beside other work that made it skip "
            f"{results['live']['dropped']:,} more: {results['rss_mib_start']:.0f} MiB of memory in the first tenth, "
            f"{results['rss_mib_end']:.0f} MiB in the last.")


def rewrites() -> str:
    """Operations and time of each net as given and rewritten."""
    results = read("rewriting")
    runners = list(results["nets"][0]["ratio"])
    lines = [f"| | GFLOP | {' | '.join(runners)} |", "|---" * (2 + len(runners)) + "|"]
    for net in results["nets"]:
        times = " | ".join(f"{net['ratio'][runner]:.2f}" for runner in runners)
        lines.append(f"| {net['net']}, {net['size']['width']}x{net['size']['height']} | {net['gflop']['given']:.1f} → "
                     f"{net['gflop']['rewritten']:.1f} | {times} |")
    return "\n".join(lines)


def bench() -> str:
    """Every way of running both nets, as multiples of torch as the net was given, and whole jobs."""
    results = read("bench-cpu")
    best = {part["kind"]: {entry["name"]: best_timing(entry) for entry in in_order(part)}
            for part in results["measured"]}
    jobs = {(job["name"], job["source"]): job["share_of_runner"] for job in results["end_to_end"]["jobs"]}
    sources = list(dict.fromkeys(source for _, source in jobs))
    jobs_columns = " | ".join(f"{source}, of the bare runner" for source in sources)
    lines = [f"| run by | mask net | of arithmetic | of memory | depth net | {jobs_columns} |",
             "|---" * (5 + len(sources)) + "|"]
    for name, timing in best["mask"].items():
        cells = [f"{jobs[name, source]:.0%}" if (name, source) in jobs else "" for source in sources]
        lines.append(f"| {name} | {timing['ratio']:.2f} | {timing['share_of_limit']:.0%} | "
                     f"{timing['share_of_memory']:.0%} | {best['depth'][name]['ratio']:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def precisions() -> str:
    """What fewer bits cost and save in ONNX Runtime, for the shipped mask net."""
    net = read("int8-cpu")["nets"][0]
    plain = net["precisions"]["fp32"]["ms_per_frame"]
    lines = [f"| {net['weights']} | size | pixels that change side | depth under the mask changes by | time, × fp32 |",
             "|---" * 5 + "|"]
    for name, found in net["precisions"].items():
        errors = found["errors"]
        time = f"{found['ms_per_frame']['1']['median'] / plain['1']['median']:.2f}" if found["runs"] else "no kernels"
        lines.append(f"| {name} | {found['bytes'] / 1e6:.1f} MB | {errors['changed_side']:.2%} | "
                     f"{errors['task_rmse_m']:.3f} m | {time} |")
    return "\n".join(lines)


def authors() -> str:
    """Our ways to masks of pictures and videos, as multiples of the authors' speed."""
    results = read("against-authors-cpu")
    ways = [way for way in results["ways"] if way["name"] != "authors"]
    sources = list(dict.fromkeys(way["source"] for way in ways))
    lines = [f"| {results['weights']} | {' | '.join(sources)} |", "|---" * (1 + len(sources)) + "|"]
    for name in dict.fromkeys(way["name"] for way in ways):
        cells = [f"{way['times_as_fast']:.2f}" for way in ways if way["name"] == name]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def measuring_cost() -> str:
    """Processor time of a comparison, before and after, and whether its answers agree."""
    results = read("measuring-cost")
    before, after = (results["a_picture_s"][name] for name in ("before", "after"))
    rest = results["rest_s"]
    return (f"{before:.2f} core-seconds a picture before, {after:.2f} now ({before / after:.1f} times less), beside "
            f"{rest['before']:.0f} and {rest['after']:.0f} for the start and the figures of a run; an RMSE differs by "
            f"at most {results['rmse_changed_by']:.0e} of itself.")


def one_picture() -> str:
    """Processor time of one picture, beside an earlier revision, in all and without the import of torch."""
    found = read("one-picture")["median_s"]
    own = {name: found[name] - found["torch"] for name in ("before", "after")}
    return (f"{found['before']:.2f} s before, {found['after']:.2f} s now, of which importing torch takes "
            f"{found['torch']:.2f} s; what is depthcue's own went from {own['before']:.2f} s to {own['after']:.2f} s. "
            f"`depthcue --help`: {found['help_before']:.2f} s before, {found['help_after']:.2f} s now.")


def lite_speed() -> str:
    """Times of the shipped family of nets beside the former one, in every way of running them."""
    lines = ["| | mask net | times as fast | depth net | times as fast |", "|---|---|---|---|---|"]
    nets = read("lite-speed")["nets"]
    for name in nets["mask"]["ways"]:
        cells = []
        for kind in ("mask", "depth"):
            row = nets[kind]["ways"].get(name)
            cells += ["", ""] if row is None else [
                f"{row['ms']['compact']:.1f} → {row['ms']['lite0']:.1f} ms", f"{row['times_as_fast']:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "; ".join(
        f"{kind} net: {net['gflop']['compact']:.2f} → {net['gflop']['lite0']:.2f} GFLOP, "
        f"{net['million_weights']['compact']:.1f} → {net['million_weights']['lite0']:.1f} million weights"
        for kind, net in nets.items()) + "."])


def cluster() -> str:
    """What a second worker adds, and what the driver can hand out."""
    results = read("cluster-scaling")
    each = results["cores_per_worker"]
    lines = [f"- {row['workers']} workers, {each} core each: {row['times_the_fewest']:.2f} times the pictures of one, "
             f"{row['share_of_linear']:.0%} of linear" for row in results["scaling"][1:]]
    driver = results["driver"]
    return "\n".join([*lines, f"- the driver hands out and books {driver['tasks_per_second']:.0f} tasks a second that "
                      f"do nothing; a name costs it {driver['bytes_per_name']:.0f} bytes"])


def speed() -> str:
    """Rates on the machine of the result files."""
    renderer, training = read("renderer-speed-cpu"), read("training-speed-cpu")
    cores = renderer["machine"]["cores"]
    lines = [f"On {cores} cores ({renderer['machine']['processor']}):", ""]
    lines += [f"- rendering {entry['kind']} scenes at {entry['width']}x{entry['height']}: "
              f"{entry['frames_a_second']:.0f} frames a second" for entry in renderer["speeds"]]
    lines += [f"- training the {name}: {rate:.0f} images a second" for name, rate in
              training["images_a_second"].items()]
    return "\n".join(lines)


def tree() -> str:
    """Every room with its phrase, and what the other folders hold; each module's docstring says the rest."""
    lines = ["```"]
    for folder in sorted(path.parent for path in PACKAGE.rglob("__init__.py")):
        depth = len(folder.relative_to(PACKAGE.parent).parts) - 1
        phrase = (ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").partition("\n")[0]
        lines.append(f"{'  ' * depth}{folder.name}/".ljust(22) + phrase)
    others = {"weights/": "the shipped nets with their cards; make.sh made them with the other two",
              "tests/": "a file a module, as in depthcue/; reference.py holds slow definitions written from the papers",
              "benchmarks/": "scripts that measure, and results/ with what they found"}
    return "\n".join([*lines, *(f"{name:<22}{phrase}" for name, phrase in others.items()), "```"])


BLOCKS: dict[str, Callable[[], str]] = {
    "nyu-short": short_comparison,
    "published-short": published_nets,
    "nyu": lambda: comparison("compare-edges-nyu"),
    "fastdepth": lambda: comparison("compare-edges-fastdepth"),
    "fastdepth-to-target": lambda: comparison("compare-edges-fastdepth", to_target=True),
    "pydnet-to-target": lambda: comparison("compare-edges-pydnet-kitti", to_target=True),
    "pydnet": lambda: comparison("compare-edges-pydnet-kitti"),
    "pydnet-roads": lambda: comparison("compare-edges-pydnet-roads", to_target=True),
    "matterport": lambda: comparison("compare-edges-pydnet-matterport", to_target=True),
    "nets-published": lambda: nets("compare-nets-published"),
    "findings-fastdepth": lambda: findings("findings-fastdepth"),
    "cues-fastdepth": lambda: cues("probe-fastdepth"),
    "evaluation-fastdepth": lambda: evaluation("evaluate-fastdepth", "NYU-v2"),
    "cues-matterport": lambda: cues("probe-pydnet-matterport"),
    "findings-pydnet": lambda: findings("findings-pydnet-kitti"),
    "cues-pydnet": lambda: cues("probe-pydnet-kitti"),
    "second-paper-pydnet": lambda: beside_the_second_paper("probe-pydnet-kitti"),
    "rooms": lambda: comparison("compare-edges-rooms"),
    "roads": lambda: comparison("compare-edges-roads"),
    "kitti": lambda: comparison("compare-edges-kitti"),
    "findings-roads": lambda: findings("findings-roads"),
    "findings-driving": lambda: findings("findings-driving"),
    "findings-indoor": lambda: findings("findings-indoor"),
    "cues": lambda: cues("probe-compact-road", "probe-compact-indoor"),
    "evaluation": lambda: evaluation("evaluate-nyu", "NYU-v2"),
    "evaluation-pydnet": lambda: evaluation("evaluate-pydnet-roads", "rendered roads"),
    "paper-table1": paper_table,
    "paper-fig5": paper_figure,
    "nets": nets,
    "steady": steady,
    "warm-start": warm_start,
    "black-box": black_box,
    "losses": losses,
    "training-cost": training_cost,
    "rewrites": rewrites,
    "authors": authors,
    "precisions": precisions,
    "bench": bench,
    "measuring-cost": measuring_cost,
    "one-picture": one_picture,
    "lite-speed": lite_speed,
    "cluster": cluster,
    "endurance": endurance,
    "speed": speed,
    "tree": tree,
}


def filled(text: str) -> str:
    def block(match: re.Match[str]) -> str:
        return f"<!-- filled: {match[1]} -->\n{BLOCKS[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- filled: ([\w-]+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


def main() -> int:
    stale = []
    for document in DOCUMENTS:
        before = document.read_text()
        after = filled(before)
        if before == after:
            continue
        stale.append(document)
        if "--check" not in sys.argv[1:]:
            document.write_text(after)
    for document in stale:
        print(f"{document.name} {'differs from the files' if '--check' in sys.argv[1:] else 'filled'}")
    return int("--check" in sys.argv[1:] and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
