"""Addresses that the commands connect to, of all processes that they start, by strace.

    python benchmarks/connections.py [--only mask,train]

Runs mask, train, report, bench and mask --cluster local on the smallest of inputs under `strace -f`, with a home folder
of their own in which no reports are switched off, and lists the addresses that connect(), sendto() and sendmsg() were
called with. Names of Unix sockets and addresses of the loopback stay on this machine; any other is a fault, and so is a
request to a resolver (port 53). Writes benchmarks/results/connections.json; exit status 1 where there was one.
"""

import argparse
import ipaddress
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from killed import commands, make_inputs

from depthcue import files

RESULTS = Path(__file__).resolve().parent / "results"
CALLS = "connect,sendto,sendmsg"
FAMILY = re.compile(r"sa_family=(AF_\w+)")
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=RESULTS / "connections.json")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        raise SystemExit("strace is needed: apt install strace")

    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        called = words_of(make_inputs(folder))
        for name in options.only.split(",") if options.only else called:
            told[name] = listen(called[name], folder, name)
            print(f"{name}: {told[name]}", flush=True)
    files.write_public(options.out, files.document("connections", traced=CALLS, commands=told))
    if any(each["elsewhere"] for each in told.values()):
        raise SystemExit(1)


def words_of(inputs: Path) -> dict[str, list[str]]:
    """The commands; OUT in a folder of each."""
    others = {name: [str(inputs / name / "out") if word == "OUT" else word for word in command.words]
              for name, command in commands(inputs).items()}
    auto = [word if word != "torch" else "auto" for word in others["mask-folder"]]
    return {
        "mask": others["mask-video"], "mask with every backend tried": [*auto, "--precision", "auto"],
        "train": others["train"], "probe": others["probe"],
        "report": ["report", str(inputs / "probe" / "out"), "--out", str(inputs / "page.html")],
        "bench": ["bench", "--weights", str(inputs / "mask.safetensors"), "--target",
                  str(inputs / "depth.safetensors"), "--out", str(inputs / "bench"), "--device", "cpu",
                  "--seconds", "0.1", "--batch-size", "1"],
        "doctor": ["doctor"],
        "mask --cluster local": others["cluster"],
    }


def listen(words: list[str], folder: Path, name: str) -> dict[str, Any]:
    """Run a command under strace; how often it called whom."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    trace = folder / "trace"
    done = subprocess.run(["strace", "-f", "-qq", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(trace),
                           sys.executable, "-m", "depthcue.cli", *words], capture_output=True, text=True,
                          env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")})
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
    here: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    with trace.open(errors="replace") as lines:
        for line in lines:
            family = FAMILY.search(line)
            if family is None:  # over a connection that was counted
                continue
            if family[1] not in ("AF_INET", "AF_INET6"):
                here[family[1]] += 1
                continue
            found, port = ADDRESS.search(line), PORT.search(line)
            address = ipaddress.ip_address((found[1] or found[2]) if found else "0.0.0.0")
            mapped = getattr(address, "ipv4_mapped", None) or address
            if mapped.is_loopback:
                here["loopback"] += 1
            else:
                elsewhere[f"{address} port {port[1] if port else '?'}, {line.split('(')[0].split()[-1]}"] += 1
    return {"on_this_machine": dict(here), "elsewhere": dict(elsewhere)}


if __name__ == "__main__":
    main()
