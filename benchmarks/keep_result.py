"""Keep a results document among the committed ones, without the paths of the machine that made it.

    python benchmarks/keep_result.py OUT/results.json compare-edges-nyu [FOLDER]
"""

import json
import sys
from pathlib import Path

from depthcue.files import write_public

RESULTS = Path(__file__).resolve().parent / "results"


def main(results: str, name: str, folder: str | Path = RESULTS) -> None:
    write_public(Path(folder) / f"{name}.json", json.loads(Path(results).read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:])
