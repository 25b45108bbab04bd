"""The corpus script on small inputs: cleaners, choice of documents, split, mathematics, packages that are not there."""
import random
import re
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import make_corpus
from corpus import cleaners, markup, maths, selection
from corpus.sources import DOMAINS, PACKAGES


def test_html_becomes_paragraphs():
    page = ("<html><head><title>no</title><style>p {}</style></head><body><ul class='docnav'><li>Next</li></ul><h1>A &amp; B</h1><p>one <b>two</b>\n three</p>"
            "<ul><li>first</li><li>second <i>item</i></li></ul><pre>  x = 1\n\n  y</pre><script>if (a < b) {}</script><p>end<br>line</p></body></html>")
    assert cleaners.tidy(markup.html_to_text(page, {"docnav"})) == "A & B\n\none two three\n\n- first\n\n- second item\n\n  x = 1\n\n  y\n\nend\nline\n"


def test_broken_html_gives_what_it_says():
    assert "b" in markup.html_to_text("<p>a<div><ul class=x><li>b</p></i></div><nav>c")
    assert "c" not in markup.html_to_text("<p>a<nav>c<nav>d</nav>e</nav>b")


MAN = r""".\" Copyright somebody
.TH LS 1 "Mai 2020" "x" "y"
.SH BEZEICHNUNG
ls \- Verzeichnisse auf\%listen
.SH BESCHREIBUNG
Zeigt \fBDateien\fP mit
.BR ls (1)
und \(lqNamen\(rq.
.TP
.BI \-a " DATEI"
alle\c
\&s, auch \*(lqverborgenes\*(rq
.IP \(bu 2
ein Punkt
.TS
l l.
a	b
.TE
.EX
$ ls \e
  \-l
.EE
.SH AUTOR
Ein Mensch
.SS Mehr
davon
.SH BEISPIELE
.sp
Ende
.SH ÜBERSETZUNG
Die deutsche Übersetzung
"""


def test_man_pages_become_text_without_their_boilerplate():
    text = cleaners.tidy(markup.roff_to_text(MAN))
    assert text == ("BEZEICHNUNG\n\nls - Verzeichnisse auflisten\n\nBESCHREIBUNG\n\nZeigt Dateien mit ls(1) und “Namen”.\n\n-a DATEI\nalles, auch “verborgenes”\n\n"
                    "- ein Punkt\n\n$ ls \\\n  -l\n\nBEISPIELE\n\nEnde\n")
    assert markup.roff_to_text(".Dd May 2020\n.Dt X 1\n") == "" and markup.roff_to_text(".so man1/ls.1\n") == ""


def test_rst_loses_directives_and_roles():
    text = ".. SPDX-License-Identifier: GPL-2.0\n\n.. _label:\n\nTitle\n=====\n\n.. toctree::\n   :maxdepth: 2\n\n   a\n   b\n\nSee :ref:`the page <x>` and :c:func:`kmalloc()`, ``code``.\n\n" \
           ".. note:: careful\n\n+---+---+\n| a | b |\n+---+---+\n\n.. code-block:: c\n\n   int x;\n"
    assert cleaners.tidy(markup.rst_to_text(text)) == "Title\n=====\n\nSee the page and kmalloc(), code.\n\nNote: careful\n\n   int x;\n"


def test_markdown_loses_marks_and_line_ends():
    text = "# Head\n\nSome _words_ in\n**bold** co-\noperative [link](http://x.y/z).\n\n> quoted _and\n> wrapped_\n\n  * one\n  * two\n    more\n\n* * *\n"
    assert cleaners.tidy(markup.markdown_to_text(text)) == "Head\n\nSome words in bold co-operative link.\n\nquoted and wrapped\n\n- one\n- two more\n"


def test_sections_of_a_reference_manual():
    text = "Inhalt\n    1.1. Eins\n        1.1.1. Tief\n\n    Der Text beginnt.\n\n1.1. Eins\n\n    Eine Zeile, die mehr als fünfundvierzig Zeichen hat,\n    und eine zweite.\n\n    +--+\n    |x |\n    +--+\n\n1.2. Zwei\n\n      * Liste\n"
    out = [cleaners.tidy(t) for t in cleaners.reference_sections(text.encode())]
    assert out[-2:] == ["1.1. Eins\n\nEine Zeile, die mehr als fünfundvierzig Zeichen hat, und eine zweite.\n", "1.2. Zwei\n\n  * Liste\n"]


def test_dictionaries_are_cut_by_their_index():
    entries = ["00-database-short\n  none\n", "abc\n\n   <x> {word} one\n   two.\n\n   (1999-01-02)\n\n", "ä\n   other\n"]
    data = "".join(entries).encode()
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    base64 = lambda n: (base64(n // 64) if n >= 64 else "") + digits[n % 64]
    places = [0, len(entries[0].encode()), len((entries[0] + entries[1]).encode())]
    index = "".join(f"{name}\t{base64(at)}\t{base64(len(entry.encode()))}\n" for name, at, entry in zip(["00-database-short", "abc", "ä"], places, entries))
    index += f"synonym\t{base64(places[1])}\t{base64(len(entries[1].encode()))}\n"
    assert cleaners.dict_entries(index.encode(), data) == entries[1:]
    assert cleaners.computing_entry(entries[1]) == "abc\n<x> word one two."
    assert cleaners.dict_number("BA") == 64
    webster = "Abacus \\Ab\"a*cus\\ ([a^]b\";\n   [.a]*k[u^]s), n.; pl. {Abaci}.\n   1. A table\n      of sand. [1913 Webster]\n\n   2. A frame. [PJC]\n"
    assert cleaners.webster_entry(webster) == "Abacus, n.; pl. Abaci.\n1. A table of sand.\n2. A frame."
    assert cleaners.wordnet_entry("cat\n    n 1: feline\n         mammal [syn: {cat}]\n    2: a spiteful woman\n    v 1: beat\n") == "cat\nn 1: feline mammal [syn: cat]\n2: a spiteful woman\nv 1: beat"


def test_code_loses_licences_and_guards():
    header = "#!/usr/bin/python3\n# Copyright 2001 somebody.\n# All rights reserved.\n\n\"\"\"Doc.\"\"\"\nx = 1  # copyright is kept in code\n# Licensed to PSF\n\tif x: pass\n"
    assert cleaners.tidy(cleaners.python_code(header.encode())[0]) == '"""Doc."""\nx = 1  # copyright is kept in code\n        if x: pass\n'
    cpp = "// (C) Copyright me\n// Boost Software License\n\n#if defined(_MSC_VER)\n# pragma once\n#endif // defined\n#ifndef X_HPP\n#define X_HPP\n\n#include <a>\n#pragma once\nnamespace a {\n/* License: none */\nint f(); // here\n}\n\n#endif // X_HPP\n"
    assert cleaners.tidy(cleaners.cpp_code(cpp.encode())[0]) == "namespace a {\n\nint f(); // here\n}\n"


def test_lines_of_copyright_go_and_sentences_stay():
    text = "Title\n:Copyright: |copy| 2001-2020 somebody\n  Copyright (C) 2003 me\n© 2010 she\nThe copyright of 1976 law.\nCopyright is law.\n"
    assert cleaners.without_copyright_lines(text) == "Title\nThe copyright of 1976 law.\nCopyright is law.\n"


def test_tidy_text_has_no_form_feed():
    assert cleaners.tidy("a\x0cb \r\n\n\n\n\x07c\u00adx\n\n") == "a\nb\n\ncx\n"
    assert cleaners.tidy(" \n\n") == ""


def words(rng, count):
    return " ".join(str(rng.randrange(3000)) for _ in range(count))


def test_near_duplicates_are_left_out():
    rng = random.Random(3)
    texts = [words(rng, 80) for _ in range(50)]
    changed = [t.replace(t.split()[40], "changed") for t in texts]
    kept = selection.select(texts + changed + texts, 10**9, selection.Seen(0.5))
    assert len(kept) == 50 and {min(a, b) for a, b in zip(texts, changed)} | {max(a, b) for a, b in zip(texts, changed)} >= set(kept)
    assert sum(len(t) for t in selection.select(texts, 5000, selection.Seen(0.5))) <= 5000
    assert selection.select(texts, 5000, selection.Seen(0.5)) == selection.select(texts[::-1], 5000, selection.Seen(0.5))


def test_lines_of_a_form_are_left_out():
    form = "This manual page was written by somebody for some system."
    texts = [f"{form}\nown line {i}, which is as long as a line of a form\nshort" for i in range(4)]
    assert selection.without_boilerplate(texts) == [f"own line {i}, which is as long as a line of a form\nshort" for i in range(4)]
    assert selection.without_boilerplate(texts[:3]) == texts[:3]


def test_the_split_has_each_document_once():
    rng = random.Random(4)
    texts = [words(rng, rng.randrange(5, 400)) for _ in range(2000)]
    parts = selection.split(texts)
    assert sorted(parts["train"] + parts["validation"] + parts["test"]) == sorted(texts)
    total = sum(map(len, texts))
    for part in ("validation", "test"):
        assert 0.018 * total < len("\f".join(parts[part])) <= 0.02 * total
    assert selection.split(texts[::-1]) == parts
    assert len("\f".join(selection.split(texts, most=9000)["test"])) <= 9000


ENDS_WITH_SUM = re.compile(r"(?:^|[a-z:,] )(\(?-?\d[-\d. ()+*/^]*)$")
BEGINS_WITH_SUM = re.compile(r"(\(?-?\d[-\d. ()+*/^]*?)(?=$|,? [a-zA-Z]|, |\.$)")


def equalities(line):
    """Pairs of numbers that a line says are equal."""
    sides = line.split(" = ")
    for left, right in zip(sides, sides[1:]):
        found = ENDS_WITH_SUM.search(left), BEGINS_WITH_SUM.match(right)
        if not all(found) or any(m[1].count("(") != m[1].count(")") for m in found) or ("/" in found[0][1] and "rest" in line):
            continue
        yield tuple(eval(m[1].replace("^", "**")) for m in found)


@pytest.mark.parametrize("kind", maths.KINDS, ids=lambda k: k.__name__)
def test_every_sum_in_the_mathematics_is_right(kind):
    rng, checked = random.Random(5), 0
    for _ in range(300):
        question, steps = kind(rng)
        assert question and steps and all(line.strip() for line in steps)
        for line in steps:
            for left, right in equalities(line):
                checked += 1
                assert abs(left - right) <= 1e-9 * max(1, abs(left)), (question, line)
    # Letters, times of day: see the next test, or there is nothing to add up.
    assert checked > 50 or kind in (maths.derivative, maths.expansion, maths.linear_equation, maths.clock), checked


def at(expression, **letters):
    """The value of an expression in the sheets' notation: 3x^2 (2x - 1)."""
    expression = re.sub(r"(\d|\))(?=[a-z(])", r"\1*", expression.replace("^", "**"))
    return eval(expression, {}, letters)


def test_solutions_solve_their_equations():
    rng = random.Random(6)
    for _ in range(300):
        question, steps = maths.linear_equation(rng)
        left, right = re.search(r"(?:Solve|: ) ?(.*) = (.*?)\.?$", question).groups()
        letter, x = re.search(r"([a-z]) = (-?\d+)$", steps[-1]).groups()
        assert at(left, **{letter: int(x)}) == at(right, **{letter: int(x)}), (question, steps)
        question, steps = maths.quadratic(rng)
        if "x^2" in question:
            for line in steps[1:]:
                assert at(re.search(r"x\^2.*(?= = 0)", question)[0], x=int(line.split(" = ")[-1])) == 0, (question, line)
        question, steps = maths.two_equations(rng)
        if " and " in question:
            x, y = int(re.search(r"so x = (-?\d+)", steps[1])[1]), int(re.search(r"so y = (-?\d+)", steps[2])[1])
            for equation in re.search(r"Solve (.*)\.", question)[1].split(" and "):
                left, right = equation.split(" = ")
                assert at(left, x=x, y=y) == int(right), question


def test_letters_and_clocks_are_right():
    rng = random.Random(7)
    for _ in range(300):
        question, steps = maths.expansion(rng)
        product = re.search(r"\(.*\)", question)[0]
        letter = re.search(r"[a-z]", product)[0]
        for line in steps:
            assert at(line.removeprefix("= "), **{letter: 1.7}) == pytest.approx(at(product, **{letter: 1.7})), (question, line)
        question, steps = maths.derivative(rng)
        f = re.search(r"(?:f\(x\) = |Differentiate )(.*?)\.(?: What|$)", question)[1]
        derivative = next(m[1] for line in steps if (m := re.match(r"(?:f'\(x\) = |The derivative is )(.*?)\.?$", line)))
        assert (at(f, x=1.3 + 1e-5) - at(f, x=1.3 - 1e-5)) / 2e-5 == pytest.approx(at(derivative, x=1.3), rel=1e-5, abs=1e-5), (question, derivative)
        if "What is" in question:
            place, value = re.fullmatch(r"f'\((-?\d+)\) = (-?\d+)", steps[-1]).groups()
            assert at(derivative, x=int(place)) == int(value), (question, steps)
        question, steps = maths.clock(rng)
        hour, minute = map(int, re.search(r"(\d+):(\d+)", question).groups())
        end = re.search(r"make (\d+):(\d+)(.*)\.", steps[-1])
        days = {"": 0, " the next day": 1}.get(end[3], int((re.findall(r"(\d+) days", end[3]) or [0])[0]))
        assert hour * 60 + minute + int(re.search(r"(\d+) minutes", question)[1]) == days * 1440 + int(end[1]) * 60 + int(end[2]), (question, steps)


def test_the_mathematics_is_the_same_for_a_seed_and_varied():
    sheets = maths.worksheets(1, 200_000)
    assert sheets == maths.worksheets(1, 200_000) and sheets != maths.worksheets(2, 200_000)
    assert len(set(sheets)) == len(sheets)
    assert not any("\f" in s for s in sheets)


def test_every_domain_has_known_packages():
    assert {s.package for sources in DOMAINS.values() for s in sources} == set(PACKAGES)
    assert len(DOMAINS) == 8


def test_a_corpus_without_packages(tmp_path):
    """The whole script on the one domain that needs none: files, manifest, hashes, the same twice."""
    run = lambda name: subprocess.run([sys.executable, ROOT / "scripts/make_corpus.py", "--only", "maths", "--out", tmp_path / name, "--quiet"], capture_output=True, text=True, check=True)
    first, second = run("a"), run("b")
    assert first.stdout == second.stdout and "| maths |" in first.stdout
    train = (tmp_path / "a/maths/train.txt").read_text().split("\f")
    assert len(train) > 1000 and all(document.endswith("\n") for document in train)


def test_no_network_is_one_clear_line(tmp_path, monkeypatch):
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho 'E: Temporary failure resolving' >&2\nexit 100\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    run = subprocess.run([sys.executable, ROOT / "scripts/make_corpus.py", "--only", "python", "--out", tmp_path / "o", "--packages", tmp_path / "p"], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "libpython3.11-stdlib" in run.stderr and "Temporary failure" in run.stderr
    assert list((tmp_path / "p").iterdir()) == []


def test_a_damaged_package_is_named(tmp_path):
    (tmp_path / "libpython3.11-stdlib_1_amd64.deb").write_bytes(b"half a file")
    run = subprocess.run([sys.executable, ROOT / "scripts/make_corpus.py", "--only", "python", "--out", tmp_path / "o", "--packages", tmp_path], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "damaged" in run.stderr
