#!/usr/bin/env python3
"""Speed of training beside plain PyTorch: both run a few steps of the same model in turn, so that what the machine does meanwhile meets both.

    make bench-train ARGS='--rounds 5'
    build/venv-train/bin/python bench/train_speed.py --pytorch PROGRAM.py [--rounds 5] [--shape '256 6 16 2 384 8192 16 256'] [--threads 2]

PROGRAM.py takes the shape (d, layers, experts, top-k, width, vocabulary, batch, length) and prints "step N: T tokens/s ..." a step. The first two
steps of a run warm up and do not count; a run's speed is the median of the others.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys


def steps(command):
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return [float(n) for n in re.findall(r"^step \d+: (\d+) tokens/s", out, re.M)], out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pytorch", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2] / "shared/bench/train_pytorch.py")
    parser.add_argument("--moiety", default="build/train_bench")
    parser.add_argument("--shape", default="256 6 16 2 384 8192 16 256")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--pytorch-types", default="f32,bf16", help="bf16 takes minutes a step on a CPU without its instructions")
    parser.add_argument("--moiety-types", default="f32,bf16")
    o = parser.parse_args()
    if not o.pytorch.exists():
        parser.error(f"{o.pytorch} is not there; name a PyTorch program with --pytorch")
    if not pathlib.Path(o.moiety).exists():
        parser.error(f"{o.moiety} is not there; `make bench-train` builds it")
    shape = o.shape.split()
    commands = {f"PyTorch {t}": [sys.executable, o.pytorch, *shape, t] for t in o.pytorch_types.split(",")}
    commands |= {f"moiety {t}": [o.moiety, *shape, "6", "-t", o.threads, t] for t in o.moiety_types.split(",")}
    speeds, shares = {name: [] for name in commands}, {name: [] for name in commands}
    for _ in range(o.rounds):
        for name, command in commands.items():
            all_steps, out = steps(command)
            speeds[name].append(statistics.median(all_steps[2:]))
            shares[name] += [int(n) for n in re.findall(r"(\d+)% of", out)][2:]
    best = max(statistics.median(s) for name, s in speeds.items() if name.startswith("PyTorch"))
    print("| | tokens/s | to the best PyTorch | of the f32 FMA peak |\n|---|---|---|---|")
    for name, s in speeds.items():
        peak = f"{statistics.median(shares[name]):.0f}%" if shares[name] else ""
        print(f"| {name} | {statistics.median(s):.0f} ({min(s):.0f} to {max(s):.0f}) | {statistics.median(s) / best:.2f} | {peak} |")


if __name__ == "__main__":
    main()
