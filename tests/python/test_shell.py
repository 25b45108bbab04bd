"""What a shell sees of moiety: completion in bash, zsh and fish, the manual page, help, and answers to wrong commands."""
import re
import shutil
import subprocess

import pytest


def out(*command, stdin=None):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, input=stdin, timeout=60)


def verbs(moiety):
    """Every verb, and every verb of a verb, as words."""
    found = []
    for line in re.split(r"Subcommands:\n", out(moiety, "--help").stdout)[1].splitlines():
        if not line.startswith("  ") or line.startswith("   "):
            continue
        name = line.split()[0]
        inner = out(moiety, name, "--help").stdout.split("Subcommands:\n")
        found += [[name]] + [[name, line.split()[0]] for line in (inner[1].splitlines() if len(inner) > 1 else []) if re.match(r"  \w", line)]
    return found


def options(moiety, verb):
    lines = out(moiety, *verb, "--help").stdout.splitlines()
    return {name for line in lines if line.startswith("  -") for name in line.split()[0].split(",") if name.startswith("--")} - {"--help"}


BASH = """source <("$0" completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _moiety; printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { : }
compadd() { while [[ $1 == -* ]]; do [[ $1 == -a ]] && { print -l -- ${(P)2}; return }; shift; done; print -l -- "$@" }
_describe() { [[ $1 == -o ]] && shift; for entry in ${(P)2}; do print -r -- ${entry%%:*}; done }
_files() { print -r FILES }
eval "$($1 completion zsh)"
shift
words=("$@"); CURRENT=$#; PREFIX=${words[CURRENT]}; _moiety
"""


def complete(shell, moiety, *words):
    """What the shell offers for the last of the words."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    if shell == "bash":
        done = out("bash", "-c", BASH, moiety, "moiety", *words)
    elif shell == "zsh":
        done = out("zsh", "-f", "-c", ZSH, "zsh", moiety, "moiety", *words)
    else:
        done = out("fish", "--no-config", "-c", f"{moiety} completion fish | source; complete -C 'moiety {' '.join(words)}'")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    offered = {line.split("\t")[0] for line in done.stdout.splitlines()}
    return {word for word in offered if word.startswith(words[-1])}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, moiety):
    every = verbs(moiety)
    top = {verb[0] for verb in every if len(verb) == 1}
    assert top <= complete(shell, moiety, "")
    assert complete(shell, moiety, "com") == {"completion"}
    assert {"perplexity", "choice", "compare"} <= complete(shell, moiety, "eval", "")
    for verb in every:
        assert options(moiety, verb) <= complete(shell, moiety, *verb, "--"), verb
    assert complete(shell, moiety, "run", "--kv", "") >= {"f32", "f16", "bf16", "q8_0"}
    assert complete(shell, moiety, "completion", "") >= {"bash", "zsh", "fish"}


def test_manual_page(moiety):
    page = out(moiety, "man").stdout
    for verb in verbs(moiety):
        assert f".SS {' '.join(verb)}\n" in page
        for option in options(moiety, verb):
            assert option.replace("-", "\\-") in page, option
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    done = out("groff", "-man", "-ww", "-Tutf8", stdin=page)
    assert done.returncode == 0 and done.stderr == ""
    assert "EXIT STATUS" in re.sub(r"\x1b\[\d*m|.\x08", "", done.stdout)


def test_help_says_what_it_is_by_default_and_gives_an_example(moiety):
    wanting = []
    for verb in verbs(moiety):
        text = out(moiety, *verb, "--help").stdout
        if "Subcommands:" not in text and "Example" not in text:
            wanting.append((*verb, "no example"))
        for option in re.split(r"\n  (?=-)", text.split("Options:\n", 1)[1].split("\n\n")[0])[0:]:
            name = option.split()[0]
            takes_value = re.search(r"(?:TEXT|UINT|INT|FLOAT)\b", option[:60])
            if takes_value and "default" not in option and "REQUIRED" not in option:
                wanting.append((*verb, name))
    assert not wanting, wanting


@pytest.mark.parametrize("arguments, words", [
    (["rnu"], "did you mean run?"),
    (["eval", "perplexty"], "did you mean perplexity?"),
    (["run", "m", "p", "--tmep", "3"], "did you mean --temp?"),
    (["run", "m", "p", "--xyzzyx"], "--xyzzyx is not known"),
    (["run", "m", "p", "q"], "'q' is one argument too many"),
    (["run", "m", "--kv", "f8"], "--kv"),
    (["run", "m", "-t", "many"], "--threads"),
    ([], "a verb is missing"),
    (["run"], "MODEL is required"),
])
def test_wrong_commands(moiety, arguments, words):
    done = out(moiety, *arguments)
    assert done.returncode == 2 and words in done.stderr and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
