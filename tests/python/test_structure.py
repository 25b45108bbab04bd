"""The tree keeps its own rules: include arrows point down, paths in the docs exist, files stay small, nothing is left for later."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What each room may include.
BELOW = {"base": set()}
BELOW["formats"] = {"base"}
BELOW["text"] = BELOW["kernels"] = {"base", "formats"}
BELOW["data"] = {"base", "formats", "text"}
BELOW["experts"] = BELOW["kernels"] | {"kernels"}
BELOW["gradients"] = BELOW["kernels"] | {"kernels"}
BELOW["routing"] = {"base"}
BELOW["model"] = BELOW["experts"] | {"experts", "routing"}
BELOW["engine"] = BELOW["model"] | {"model"}
BELOW["decode"] = BELOW["engine"] | {"engine", "text"}
BELOW["observe"] = BELOW["decode"] | {"decode"}
BELOW["grow"] = BELOW["engine"] | {"engine", "text"}
BELOW["learn"] = BELOW["observe"] | {"observe", "grow", "gradients", "data"}


def sources(*patterns):
    skip = ("build", ".git")
    return [p for pattern in patterns for p in ROOT.rglob(pattern) if not any(part.startswith(skip) for part in p.relative_to(ROOT).parts)]


def test_include_arrows_point_down():
    wrong = []
    for path in sources("src/*/*.h", "src/*/*.cc"):
        room = path.parent.name
        for included in re.findall(r'#include "([a-z]+)/', path.read_text()):
            if included != room and included not in BELOW[room]:
                wrong.append(f"{path.relative_to(ROOT)} includes {included}/")
    assert not wrong, wrong


def test_files_are_one_idea_long():
    long = [f"{p.relative_to(ROOT)}: {n}" for p in sources("src/**/*.cc", "src/**/*.h", "apps/*.cc", "tests/**/*.cc", "fuzz/*.cc", "*.py", "*.sh")
            if (n := len(p.read_text().splitlines())) > 500]
    assert not long, long


def test_paths_in_docs_exist():
    missing = []
    for path in sources("*.md"):
        for name in re.findall(r"`((?:src|apps|tests|docs|scripts|fuzz|bench|models)/[\w./-]+)`", path.read_text()):
            if not (ROOT / name).exists():
                missing.append(f"{path.relative_to(ROOT)}: {name}")
    assert not missing, missing


def test_nothing_names_a_machine():
    paths = re.compile(r"[\"' (]/(?:work|tmp|root|home)/\w")
    found = [str(p.relative_to(ROOT)) for p in sources("*.cc", "*.h", "*.py", "*.sh", "*.md", "CMakeLists.txt", "Makefile") if paths.search(p.read_text())]
    assert not found, found


def test_markdown_links_exist():
    missing = []
    for path in sources("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
            if "://" not in target and not (path.parent / target).exists():
                missing.append(f"{path.relative_to(ROOT)}: {target}")
    assert not missing, missing


def test_nothing_is_left_for_later():
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    found = [str(p.relative_to(ROOT)) for p in sources("*.cc", "*.h", "*.py", "*.sh", "*.md", "CMakeLists.txt") if words.search(p.read_text())]
    assert not found, found
