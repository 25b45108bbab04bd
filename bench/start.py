#!/usr/bin/env python3
"""From nothing to the first token: seconds, interleaved, the files in the page cache.

    build/venv-bench/bin/python bench/start.py MODEL.gguf [--rounds 5] [--threads 2]

Moiety's is the time of its whole process, of the plain file and of one that `moiety pack` wrote; a peer's is the time of loading, making a context and
one token, without the start of its process.
"""
import argparse
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


def moiety(program, model, threads, folder):
    begin = time.perf_counter()
    subprocess.run([program, "logits", model, "--tokens", "1", "--out", folder / "logits", "-t", str(threads), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def peer(engine, model, threads):
    out = subprocess.run([sys.executable, HERE / "engine_speed.py", engine, model, "-t", str(threads), "--start"], check=True, capture_output=True, text=True)
    return float(out.stdout.split()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default="llama.cpp,ik,ik-rtr")
    parser.add_argument("--moiety", default="build/moiety")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=o.model.parent) as name:
        folder = pathlib.Path(name)
        packed = folder / "packed.gguf"
        subprocess.run([o.moiety, "pack", o.model, packed, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        engines = {e: lambda e=e: peer(e, o.model, o.threads) for e in o.peers.split(",") if e}
        engines |= {"moiety": lambda: moiety(o.moiety, o.model, o.threads, folder), "moiety, packed": lambda: moiety(o.moiety, packed, o.threads, folder)}
        seconds = {e: [] for e in engines}
        for start in engines.values():
            start()  # the files come into the page cache
        for r in range(o.rounds):
            order = list(engines)
            random.Random(r).shuffle(order)  # memory that the engine before gave back costs less than memory that rested
            for e in order:
                seconds[e].append(engines[e]())
        print("| file | " + " | ".join(engines) + " |\n|" + "---|" * (1 + len(engines)))
        print("| " + " | ".join([o.model.name, *(f"{statistics.median(s):.2f} s ({min(s):.2f} to {max(s):.2f})" for s in seconds.values())]) + " |")


if __name__ == "__main__":
    main()
