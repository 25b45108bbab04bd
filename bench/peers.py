#!/usr/bin/env python3
"""Moiety beside its peers, interleaved on the same file: every round runs each engine once for each test, so that what the machine does meanwhile
meets them all. Prints a table of medians with the spread, and Moiety's ratio to the best peer.

    make bench-peers ARGS='MODEL.gguf --rounds 5'
    build/venv-bench/bin/python bench/peers.py MODEL.gguf [--tests pp512,pp32,b8,tg64,d4096] [--rounds 3] [--isa avx2] [--threads 2]

Tests: ppN a prompt of N tokens; tgN generation of N tokens; bN one token of each of N sequences a step; dN generation at a depth of N tokens.
The wheels are built for AVX2: --isa avx2 compares like with like, and LLAMA_LIB and IK_LIB name libraries of native builds.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PEERS = ["llama.cpp", "ik", "ik-rtr"]


def options(test, threads):
    kind, n = test.rstrip("0123456789"), test.lstrip("abcdefghijklmnopqrstuvwxyz")
    common = ["-t", str(threads), "-r", "1"]
    return {"pp": ["-p", n, "-n", "0"], "tg": ["-n", n, "-p", "0"], "b": ["-n", "16", "-p", "0", "-b", n], "d": ["-n", "16", "-p", "0", "-d", n]}[kind] + common


def run(engine, model, test, o):
    if engine.startswith("moiety"):
        environment = dict(os.environ, **({"MOIETY_ISA": engine.partition(" ")[2]} if " " in engine else {}))
        out = subprocess.run([o.moiety, "bench", model, *options(test, o.threads), "--json", "--quiet"], check=True, capture_output=True, text=True, env=environment)
        result = json.loads(out.stdout)[0]
        fraction = max(("bandwidth_fraction", "bandwidth"), ("peak_fraction", "peak"), key=lambda k: result[k[0]])
        return result["tokens_per_s"]["median"], f"{100 * result[fraction[0]]:.0f}% of {fraction[1]}"
    out = subprocess.run([sys.executable, HERE / "engine_speed.py", engine, model, *options(test, o.threads)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout.splitlines()[-1])[0], ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="+")
    parser.add_argument("--tests", default="pp512,pp32,b8,tg64,d4096")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--isa", default="", help="run Moiety with each of these values of MOIETY_ISA, as avx2,avx512vnni")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--moiety", default="build/moiety")
    o = parser.parse_args()
    peers = [p for p in o.peers.split(",") if p]
    ours = [f"moiety {isa}" for isa in o.isa.split(",") if isa] or ["moiety"]
    columns = ["file", "test", *peers]
    for name in ours:
        columns += [name, "of the limit", "to the best peer"]
    print("|", " | ".join(columns), "|\n|" + "---|" * len(columns), flush=True)
    for model in o.model:
        for test in o.tests.split(","):
            speeds, limit = {e: [] for e in [*peers, *ours]}, {}
            for _ in range(o.rounds):
                for engine in speeds:
                    speed, limit[engine] = run(engine, model, test, o)
                    speeds[engine].append(speed)
            middle = {e: statistics.median(s) for e, s in speeds.items()}
            cell = {e: f"{middle[e]:.1f} ({min(s):.1f} to {max(s):.1f})" for e, s in speeds.items()}
            best = max((middle[e] for e in peers), default=math.nan)
            row = [pathlib.Path(model).name, test, *(cell[e] for e in peers)]
            for name in ours:
                row += [cell[name], limit[name], f"{middle[name] / best:.2f}"]
            print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
