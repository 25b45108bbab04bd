#!/usr/bin/env python3
"""Makes a corpus for training out of Debian packages: eight domains, each split by document.

    make_corpus.py [--out build/corpus/text] [--packages build/corpus/deb] [--only DOMAIN …] [--quiet]

Packages are fetched with apt-get (no root; nothing is installed) unless they lie in the packages' folder already, and taken apart there.
OUT/DOMAIN/{train,validation,test}.txt are documents with a form feed between them; OUT/corpus.json says what they were made of, with a
SHA-256 of each file: the same versions of the packages give the same bytes. OUT/licences has each package's copyright file. The table at
the end names sizes, licences, versions, and what `xz -9` makes of each test split, in bits per byte.
"""
import argparse
import gzip
import hashlib
import json
import lzma
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from corpus import cleaners, maths, selection
from corpus.sources import DOMAINS, MATHS_BYTES, MATHS_SEED, MOST_KNOWN, PACKAGES

ROOT = pathlib.Path(__file__).resolve().parents[1]
PARTS = ("train", "validation", "test")


class Failure(Exception):
    """What a person should read and can do something about."""


class Progress:
    """A bar on a terminal, a line every few seconds elsewhere; on stderr."""

    def __init__(self, label, total, quiet):
        self.label, self.total, self.quiet, self.done = label, total, quiet, 0
        self.terminal, self.began, self.shown = sys.stderr.isatty(), time.monotonic(), 0.0

    def advance(self, count, what=""):
        self.done += count
        now = time.monotonic()
        if self.quiet or now - self.shown < (0.1 if self.terminal else 5) and self.done < self.total:
            return
        self.shown = now
        share = self.done / max(1, self.total)
        left = (now - self.began) * (1 - share) / max(share, 1e-9)
        text = f"{self.label} {100 * share:.0f}%, {left:.0f} s left  {what}"
        if self.terminal:
            bar = "#" * int(24 * share)
            sys.stderr.write(f"\r[{bar:-<24}] {text}"[:shutil.get_terminal_size().columns - 1] + "\x1b[K")
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def end(self):
        if self.terminal and not self.quiet:
            sys.stderr.write("\r\x1b[K")


# ---- packages ----


def command(*words, **options):
    try:
        return subprocess.run(words, capture_output=True, **options)
    except FileNotFoundError:
        raise Failure(f"the program {words[0]} is missing; this script takes text out of Debian packages and needs Debian's apt and dpkg") from None


def fetch(package, folder):
    """The package's file in `folder`; downloaded beside it and renamed, so that half a file is never taken for a whole one."""
    there = sorted(folder.glob(f"{package}_*.deb"))
    if there:
        return there[-1]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as half:
        run = command("apt-get", "download", "-o", "APT::Sandbox::User=root", package, cwd=half, text=True)
        files = list(pathlib.Path(half).glob("*.deb"))
        if run.returncode or not files:
            reason = next((line[3:] for line in run.stderr.splitlines() if line.startswith("E: ")), "no file came")
            raise Failure(f"package {package} could not be fetched: {reason} (is there a network? do `apt-get update` first where package lists are missing)")
        return files[0].rename(folder / files[0].name)


def version_of(deb):
    run = command("dpkg-deb", "-f", deb, "Version", text=True)
    if run.returncode:
        raise Failure(f"{deb}: is no package, or damaged; remove it and run this again")
    return run.stdout.strip()


def files_of(deb, wants):
    """{path: bytes} of those files that `wants`, unzipped."""
    out = {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and wants(member.name):
                        data = archive.extractfile(member).read()
                        out[member.name] = gzip.decompress(data) if member.name.endswith((".gz", ".dz")) else data
        except (tarfile.TarError, OSError, EOFError) as error:
            raise Failure(f"{deb}: is damaged ({error}); remove it and run this again") from None
    return out


# ---- domains ----


def documents_of(source, files):
    if source.index:
        index = next((data for path, data in files.items() if re.search(source.index, path)), None)
        data = next((data for path, data in files.items() if source.wants(path)), None)
        if index is None or data is None:
            raise Failure(f"package {source.package}: has no dictionary where it is looked for; the package has changed")
        texts = [source.clean(entry) for entry in cleaners.dict_entries(index, data)]
    else:
        texts = [text for path in sorted(files) if source.wants(path) for text in source.clean(files[path])]
    texts = [cleaners.tidy(text) for text in texts]
    if source.original:
        lines = {line for path, data in files.items() if re.search(source.original, path) for text in source.clean(data) for line in text.split("\n") if " " in line}
        texts = ["\n".join(line for line in text.split("\n") if line not in lines) for text in texts]
    if source.prose:
        texts = [cleaners.tidy(text) for text in selection.without_boilerplate(map(cleaners.without_copyright_lines, texts))]
        texts = [text for text in texts if cleaners.letters_share(text) > 0.6]
    return [text for text in texts if len(text.encode()) >= source.shortest]


def make_domain(name, debs, step):
    seen = selection.Seen(MOST_KNOWN.get(name, 0.5))
    documents = []
    for source in DOMAINS[name]:
        files = files_of(debs[source.package], lambda path: any(wanted and re.search(wanted, path) for wanted in (source.files, source.index, source.original)))
        taken = selection.select(documents_of(source, files), source.cap, seen)
        if not taken:
            raise Failure(f"package {source.package}: no text was found where it is looked for; the package has changed")
        documents += taken
        step(f"{name}: {source.package}")
    if name == "maths":
        documents = maths.worksheets(MATHS_SEED, MATHS_BYTES)
        step(name)
    return selection.split(documents)


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(data)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def report(domains, versions):
    rows = [("domain", "documents", "train", "validation", "test", "xz -9", "licence and packages")]
    for name, facts in domains.items():
        packages = [f"{p} {versions[p]} ({PACKAGES[p].licence})" for p in dict.fromkeys(s.package for s in DOMAINS[name])] or ["own generator"]
        rows.append((name, f"{facts['documents']}", *(f"{facts['files'][part]['bytes']:,}" for part in PARTS), f"{facts['xz_bits_per_byte']:.3f}", "; ".join(packages)))
    total = [sum(f["files"][part]["bytes"] for f in domains.values()) for part in PARTS]
    rows.append(("all", f"{sum(f['documents'] for f in domains.values())}", *(f"{t:,}" for t in total), "", ""))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * 5 + "---|"] + lines[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog="Example: scripts/make_corpus.py --out build/corpus/text --only maths python")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/corpus/text", help="folder for the text (default build/corpus/text)")
    parser.add_argument("--packages", type=pathlib.Path, default=ROOT / "build/corpus/deb", help="folder for the packages (default build/corpus/deb)")
    parser.add_argument("--only", nargs="+", choices=DOMAINS, default=list(DOMAINS), metavar="DOMAIN", help="make these domains only: " + ", ".join(DOMAINS))
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args()
    packages = list(dict.fromkeys(s.package for name in options.only for s in DOMAINS[name]))

    progress = Progress("packages", len(packages), options.quiet)
    debs, versions = {}, {}
    for package in packages:
        debs[package] = fetch(package, options.packages)
        versions[package] = version_of(debs[package])
        progress.advance(1, package)
    progress.end()
    for package, version in versions.items():
        if version != PACKAGES[package].version:
            print(f"make_corpus: warning: {package} is of version {version}; published figures were made with {PACKAGES[package].version}", file=sys.stderr)
        for path, data in files_of(debs[package], lambda path: path.endswith(f"/{package}/copyright")).items():
            write(options.out / "licences" / f"{package}.txt", data)

    progress = Progress("text", sum(2 + len(DOMAINS[name]) for name in options.only) + 1, options.quiet)
    domains = {}
    for name in options.only:
        parts = make_domain(name, debs, lambda what: progress.advance(1, what))
        facts = {"documents": sum(map(len, parts.values())), "files": {}}
        for part in PARTS:
            data = "\f".join(parts[part]).encode()
            write(options.out / name / f"{part}.txt", data)
            facts["files"][part] = {"documents": len(parts[part]), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        progress.advance(1, f"{name}: xz")
        data = "\f".join(parts["test"]).encode()
        facts["xz_bits_per_byte"] = 8 * len(lzma.compress(data, preset=9)) / max(1, len(data))
        domains[name] = facts
        progress.advance(1, name)
    progress.end()
    write(options.out / "corpus.json", (json.dumps({"packages": versions, "domains": domains}, indent=1) + "\n").encode())
    print(report(domains, versions))
    for name, facts in domains.items():
        for part in PARTS:
            print(facts["files"][part]["sha256"], f"{name}/{part}.txt")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"make_corpus: {failure}")
    except OSError as failure:
        sys.exit(f"make_corpus: {failure.filename or 'a file'}: {failure.strerror}; what was finished stays")
    except KeyboardInterrupt:
        sys.exit(130)
