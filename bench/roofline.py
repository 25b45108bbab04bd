#!/usr/bin/env python3
"""Draws where a model's runs lie under the machine's limits: multiply-adds a second over multiply-adds for each byte of weights read.

    build/venv-bench/bin/python bench/roofline.py MODEL.gguf [--out docs/roofline.svg] [--moiety build/moiety] [-t 2]
"""
import argparse
import json
import pathlib
import subprocess

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

RUNS = [(f"{b} at once" if b > 1 else "generation", ["-p", "0", "-n", "16", "-b", str(b)]) for b in (1, 2, 4, 8, 16)]
RUNS += [(f"prompt of {p}", ["-p", str(p), "-n", "0"]) for p in (32, 128, 512)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--out", default="docs/roofline.svg")
    parser.add_argument("--moiety", default="build/moiety")
    parser.add_argument("-t", "--threads", default="2")
    o = parser.parse_args()
    points = []
    for name, options in RUNS:
        out = subprocess.run([o.moiety, "bench", o.model, *options, "-r", "3", "-t", o.threads, "--json", "--quiet"], check=True, capture_output=True, text=True)
        points.append((name, json.loads(out.stdout)[0]))
    read = max(p["bandwidth_gb_per_s"] for _, p in points)
    peak = max(p["peak_gmac_per_s"] for _, p in points)
    cpu = next(line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))

    figure, axes = plt.subplots(figsize=(8, 5))
    intensity = [0.5, peak / read, 2000]
    axes.loglog(intensity, [min(read * x, peak) for x in intensity], color="black")
    axes.annotate(f"reads {read:.1f} GB/s", (0.7, 0.8 * read), rotation=0)
    axes.annotate(f"multiplies {peak:.0f} GMAC/s", (peak / read * 1.2, peak * 1.05))
    for name, p in points:
        x, y = p["gmac_per_s"] / p["read_gb_per_s"], p["gmac_per_s"]
        axes.plot(x, y, "o", color="tab:red" if name.startswith("prompt") else "tab:blue")
        axes.annotate(f"{name}: {p['tokens_per_s']['median']:.0f} t/s", (x * 1.08, y * 0.8), fontsize=8)
        print(f"{name:16} {x:8.2f} MAC/byte {y:8.1f} GMAC/s {p['tokens_per_s']['median']:9.1f} tokens/s")
    axes.set_xlabel("multiply-adds for each byte of weights read")
    axes.set_ylabel("GMAC/s")
    axes.set_title(f"{pathlib.Path(o.model).name}, {o.threads} threads, {cpu}", fontsize=10)
    axes.grid(True, which="both", alpha=0.2)
    figure.tight_layout()
    figure.savefig(o.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
