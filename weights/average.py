"""A net between two that one training led to: the mean of their weights (Wortsman et al., Model soups, ICML 2022).

    python weights/average.py RUN1/mask.safetensors RUN2/mask.safetensors 0.3 OUT.safetensors

takes 0.7 of the first and 0.3 of the second. The card is the first's, with the training of the second beside it.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("share", type=float, help="of the second, 0 to 1")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()

    first, second = load_file(options.first), load_file(options.second)
    cards = [json.loads(path.with_suffix(".json").read_text()) for path in (options.first, options.second)]
    if cards[0]["config"] != cards[1]["config"] or first.keys() != second.keys():
        parser.error("these are no nets of one architecture")
    between = {key: torch.lerp(first[key].double(), second[key].double(), options.share).to(first[key].dtype)
               for key in first}
    save_file(between, options.out)
    card = cards[0] | {"sha256": hashlib.sha256(options.out.read_bytes()).hexdigest(),
                       "averaged_with": {"share": options.share, "training": cards[1]["training"]}}
    options.out.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
