"""`moiety recipe`: one recipe in its quick form from text to table, resumption, and what it refuses."""
import json
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "scripts/corpus"))
import maths  # noqa: E402

TOKENIZER = ROOT / "tests/data/tokenizers/byte_level/tokenizer.json"
RECIPES = sorted(path.parent.name for path in (ROOT / "recipes").glob("*/recipe.toml"))

if not (BUILD / "moiety-learn").exists():
    pytest.skip("built without libtorch", allow_module_level=True)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Two domains: school maths, and sentences."""
    folder = tmp_path_factory.mktemp("text")
    rng = random.Random(1)
    words = "the small large house stands river wood by and near a old green bird sings over".split()
    sentences = [" ".join(rng.choices(words, k=rng.randrange(20, 60))).capitalize() + "." for _ in range(400)]
    for domain, documents in (("maths", maths.worksheets(1, 120000)), ("words", sentences)):
        (folder / domain).mkdir()
        (folder / domain / "train.txt").write_text("\f".join(documents[:-50]))
        (folder / domain / "test.txt").write_text("\f".join(documents[-50:]))
    return folder


def call(moiety, *args, status=0, **kw):
    run = subprocess.run([moiety, "--quiet", "recipe", *map(str, args)], capture_output=True, text=True, timeout=240, **kw)
    assert run.returncode == status, f"status {run.returncode}: {run.stderr[-800:]}"
    return run.stdout if status == 0 else run.stderr


def test_a_quick_recipe_from_text_to_table(moiety, text, tmp_path):
    arguments = ["run", "moe-vs-dense", "--quick", "--text", text, "--tokenizer", TOKENIZER, "--out", tmp_path / "out", "--json"]
    table = json.loads(call(moiety, *arguments))
    arms = {arm["name"]: arm for arm in table["arms"]}
    assert set(arms) == {"dense", "moe", "random"} and table["seeds"] == 2
    active = {name: arm["parameters"]["active"] for name, arm in arms.items()}
    assert abs(active["moe"] / active["dense"] - 1) < 0.01 and arms["moe"]["parameters"]["total"] > 1.5 * arms["dense"]["parameters"]["total"]
    for arm in arms.values():
        measures = arm["measures"]
        domains = [measures[f"bits_per_byte.{d}"]["mean"] for d in ("maths", "words")]
        assert all(0 < b < 8 for b in domains) and abs(sum(domains) / 2 - measures["mean_bits_per_byte"]["mean"]) < 1e-9
    assert arms["moe"]["measures"]["experts.per_token"]["mean"] == 2 and "experts.per_token" not in arms["dense"]["measures"]
    # The interval of two differences by hand: Student's t of one degree of freedom.
    first = table["comparisons"][0]
    a, b = first["differences"]
    assert abs(first["mean"] - (a + b) / 2) < 1e-12 and abs(first["half"] - 12.7062 * abs(a - b) / 2) < 1e-9
    assert all(c["verdict"] == "undecided" for c in table["comparisons"])  # two seeds decide nothing
    result = (tmp_path / "out/RESULT.md").read_text()
    assert "**Verdict:** " in result and "recipe run moe-vs-dense --quick" in result

    # What is finished is kept; a run that lacks its end goes on from its checkpoint, one that has lost it is made again, both to the same numbers.
    lines = (tmp_path / "out/results.jsonl").read_text().splitlines()
    assert len(lines) == 6
    (tmp_path / "out/results.jsonl").write_text("\n".join(lines[:2] + lines[3:5]) + "\n" + lines[5][:40])
    for run in ("random-1", "random-2"):
        (tmp_path / "out" / run / "summary.json").unlink()
    kept = (tmp_path / "out/moe-1/metrics.jsonl").stat().st_mtime_ns
    again = json.loads(call(moiety, *arguments))
    assert (tmp_path / "out/moe-1/metrics.jsonl").stat().st_mtime_ns == kept
    assert again["comparisons"] == table["comparisons"]


def test_ctrl_c_leaves_it_resumable(moiety, text, tmp_path):
    arguments = ["run", "hash-layers", "--quick", "--seeds", "1", "--text", text, "--tokenizer", TOKENIZER, "--out", tmp_path / "out"]
    process = subprocess.Popen([moiety, "--quiet", "recipe", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 60
    results = tmp_path / "out/results.jsonl"
    while not (results.exists() and results.read_text()) and time.time() < deadline:
        time.sleep(0.02)
    assert "another `moiety recipe run` is at work there" in call(moiety, *arguments, status=1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    done = len(results.read_text().splitlines())
    assert 1 <= done < 6
    assert "undecided" in call(moiety, *arguments)  # one seed decides nothing
    assert len(results.read_text().splitlines()) == 6


def test_list_and_show(moiety):
    rows = json.loads(call(moiety, "list", "--json"))
    assert [row["recipe"] for row in rows] == RECIPES and all(row["title"] and row["verdict"] for row in rows)
    for slug in RECIPES:
        recipe = json.loads(call(moiety, "show", slug, "--json"))
        assert any(arm["control"] for arm in recipe["arms"]) and recipe["comparisons"] and recipe["claim"] and recipe["paper"]
        assert recipe["seeds"] >= 3
    assert "claim" in call(moiety, "show", "moe-vs-dense")


def test_every_recipe_describes_runs_that_the_trainer_takes(moiety, text, tmp_path):
    """All arms of all recipes are checked before the first run, which a file of results that can't be written stops."""
    for slug in RECIPES:
        out = tmp_path / slug
        out.mkdir()
        (out / "results.jsonl").mkdir()
        message = call(moiety, "run", slug, "--quick", "--text", text, "--tokenizer", TOKENIZER, "--out", out, status=1)
        assert "results.jsonl" in message and not list(out.glob("*-1")), (slug, message)


def test_a_recipe_without_a_control_is_none(moiety, tmp_path):
    whole = (ROOT / "recipes/moe-vs-dense/recipe.toml").read_text()
    (tmp_path / "some").mkdir()
    (tmp_path / "some/recipe.toml").write_text(whole.replace("control = true", "control = false"))
    assert "control" in call(moiety, "show", "some", "--recipes", tmp_path, status=2)


def change(folder, old, new):
    """A copy of a recipe with something wrong."""
    recipe = folder / "recipes/moe-vs-dense"
    recipe.mkdir(parents=True, exist_ok=True)
    whole = (ROOT / "recipes/moe-vs-dense/recipe.toml").read_text()
    assert old in whole
    (recipe / "recipe.toml").write_text(whole.replace(old, new, 1))
    return folder / "recipes"


@pytest.mark.parametrize("old, new, words", [
    ('title = "', 'titel = "', "is it 'titel'?"),
    ("[base]", "[base", "recipe.toml:"),
    ('"model.block.ffn.balance" =', '"model.blok.ffn.balance" =', "leads nowhere"),
    ('a = "moe"', 'a = "moo"', "there is no arm 'moo'"),
    ('direction = "lower"', 'direction = "down"', "lower or higher"),
    ("top_k(2) | renorm", "topk(2) | renorm", "top_k"),
    ("width = 128", "widht = 128", "width"),
    ("seeds = 5", "seeds = 0", "at least one"),
])
def test_broken_recipes_are_named(moiety, text, tmp_path, old, new, words):
    recipes = change(tmp_path, old, new)
    message = call(moiety, "run", "moe-vs-dense", "--recipes", recipes, "--text", text, "--tokenizer", TOKENIZER, "--out", tmp_path / "out", status=2)
    assert words in message, message
    assert not list((tmp_path / "out").glob("*/")), "work was done before the error"


def test_missing_text_and_names(moiety, text, tmp_path):
    assert "did you mean moe-vs-dense?" in call(moiety, "show", "moe-vs-dens", status=2)
    assert "make corpus" in call(moiety, "run", "moe-vs-dense", "--text", tmp_path / "nowhere", status=2, cwd=tmp_path)
    assert "make corpus" in call(moiety, "run", "moe-vs-dense", status=2, cwd=tmp_path)
    assert "make corpus" in call(moiety, "run", "moe-vs-dense", "--text", text, status=2, cwd=tmp_path)  # no tokenizer beside it
    assert "--recipes" in call(moiety, "list", "--recipes", tmp_path / "nowhere", status=2)
    assert not list(tmp_path.iterdir())
