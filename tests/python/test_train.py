"""`moiety train` from the command line: a run, its resumption after kill -9, its model in the other verbs, and what it refuses."""
import json
import random
import resource
import shutil
import signal
import subprocess
import time

import pytest
from conftest import BUILD, ROOT

TOKENIZER = ROOT / "tests/data/tokenizers/byte_level/tokenizer.json"

if not (BUILD / "moiety-learn").exists():
    pytest.skip("built without libtorch", allow_module_level=True)


def configuration(folder, name="run", steps=30, ffn='experts = 4, width = 16, routing = "softmax | top_k(2) | renorm", balance = "switch_aux(0.01)"', more="", validation=0.2):
    rng = random.Random(1)
    words = "the small large house stands river wood by and near a old green".split()
    text = "\f".join(" ".join(rng.choices(words, k=rng.randrange(20, 60))) + "." for _ in range(150))
    (folder / "words.txt").write_text(text)
    (folder / f"{name}.toml").write_text(f'''
steps = {steps}
batch = 4
checkpoint_every = 5
{more}
[optimiser]
rate = {{kind = "cosine", peak = 0.01, warmup = 3}}
[model]
d = 32
context = 24
blocks = 2
[[model.block]]
attention = {{heads = 2, qk_norm = "per_head"}}
ffn = {{{ffn}}}
[data]
tokenizer = "{TOKENIZER}"
validation = {validation}
[[data.source]]
files = "words.txt"
domain = "words"
''')
    return folder / f"{name}.toml"


def call(moiety, *args, status=0, **kw):
    run = subprocess.run([moiety, "--quiet", *map(str, args)], capture_output=True, text=True, timeout=240, **kw)
    assert run.returncode == status, f"status {run.returncode}: {run.stderr[-800:]}"
    return run.stdout if status == 0 else run.stderr


def test_a_run_and_its_model(moiety, tmp_path):
    config = configuration(tmp_path)
    result = json.loads(call(moiety, "train", config, "--json"))
    assert result["steps"] == 30 and result["tokens"] == 30 * 4 * 24
    assert 0 < result["held_out"]["words"]["bits_per_byte"] < 3
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 30 and losses[-1] < 0.7 * losses[0]
    assert all(sum(load) == 4 * 24 * 2 for line in lines if "load" in line for load in line["load"].values())
    call(moiety, "convert", tmp_path / "run/model", tmp_path / "model.gguf")
    for model in (tmp_path / "run/model", tmp_path / "model.gguf"):
        text = json.loads(call(moiety, "run", model, "the small house", "-n", "8", "--temp", "0", "--raw", "--json"))["text"]
        assert text.strip()
    report = json.loads(call(moiety, "inspect", tmp_path / "model.gguf", "--json"))
    assert report["routing"].endswith("softmax | top_k(2) | renorm") and report["parameters"]["total"] == result["parameters"]["total"]
    assert "holds a run already" in call(moiety, "train", config, status=1)


KINDS = ('experts = [{count = 3, kind = "swiglu"}, {count = 2, kind = "gelu", width = 8}, {kind = "zero"}, {kind = "copy"}, {count = 2, kind = "constant"}, {kind = "relu", width = 12}], '
         'width = 16, shared = {width = 8, gate = true}, routing = "softmax | top_k(2) | renorm", balance = "switch_aux(0.01, 0.75)"')


def test_experts_of_all_kinds(moiety, tmp_path):
    result = json.loads(call(moiety, "train", configuration(tmp_path, ffn=KINDS), "--json"))
    assert 0 < result["held_out"]["words"]["bits_per_byte"] < 3
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.7 * losses[0]
    for site in ("blk.0", "blk.1"):  # every expert is chosen by somebody
        assert all(sum(load) for load in zip(*(line["load"][site] for line in lines if "load" in line), strict=True))
    d, loads = 32, json.loads((tmp_path / "run/summary.json").read_text())["sites"]
    # Of each expert, by id; what a token meets besides them.
    sizes = [3 * 16 * d] * 3 + [2 * 8 * d] * 2 + [0, 0] + [3 * d] * 2 + [2 * 12 * d]
    every = 10 * d + (3 * 8 * d + d) + 4 * d * d
    experts = sum(sum(s * n for s, n in zip(sizes, site["load"])) / sum(site["load"]) * 2 + every for site in loads)
    words = json.loads(TOKENIZER.read_text())
    vocabulary = max([*words["model"]["vocab"].values(), *(t["id"] for t in words["added_tokens"])]) + 1
    assert result["parameters"]["active"] == pytest.approx(vocabulary * d + experts, rel=1e-3)  # it counts rows without a target, too


def test_a_head_that_serves_training_alone(moiety, tmp_path):
    config = configuration(tmp_path)
    config.write_text(config.read_text().replace("[model]", '[model]\nhead = {kind = "multi_token", ahead = 2}'))
    trained = json.loads(call(moiety, "train", config, "--json"))
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    losses = [line["losses"] for line in lines if "losses" in line]
    for further in ("token_2", "token_3"):
        assert 0 < losses[-1][further] < 0.8 * losses[0][further]
    assert {"blk.2", "blk.3"} < lines[0]["load"].keys()  # the depths' own experts
    model = json.loads(call(moiety, "inspect", tmp_path / "run/model", "--json"))
    assert model["family"] == "qwen3_moe" and model["layers"] == 2 and model["parameters"]["total"] < trained["parameters"]["total"]
    # To the end from the middle: the depths are in the checkpoint.
    shutil.rmtree(tmp_path / "run/checkpoint-000030")
    last = (tmp_path / "run/metrics.jsonl").read_text()
    call(moiety, "train", "--resume", tmp_path / "run")
    assert (tmp_path / "run/metrics.jsonl").read_text() == last


def test_kill_and_resume_give_the_same_bits(moiety, tmp_path):
    steps = 60
    call(moiety, "train", configuration(tmp_path, "straight", steps))
    config = configuration(tmp_path, "killed", steps)
    rng, run = random.Random(2), tmp_path / "killed"
    command = [str(config)]
    for _ in range(20):
        process = subprocess.Popen([moiety, "--quiet", "train", *command], stderr=subprocess.PIPE)
        time.sleep(0.9 + rng.random() * 0.6)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        if list(run.glob("checkpoint-??????")):
            command = ["--resume", str(run)]
        else:
            shutil.rmtree(run, ignore_errors=True)
    if process.poll() is None or process.returncode:
        call(moiety, "train", *command)
    straight = tmp_path / "straight"
    assert (run / "metrics.jsonl").read_text() == (straight / "metrics.jsonl").read_text()
    assert (run / "checkpoint-000060/state.safetensors").read_bytes() == (straight / "checkpoint-000060/state.safetensors").read_bytes()


def test_what_a_run_goes_on_from_is_removed_in_its_time(moiety, tmp_path):
    call(moiety, "train", configuration(tmp_path, steps=10))
    began = tmp_path / "run/checkpoint-000010"
    config = (began / "config.toml").read_text()
    (began / "config.toml").write_text(config.replace("steps = 10", "steps = 30"))
    call(moiety, "train", "--resume", tmp_path / "run")
    assert not began.exists()
    assert "steps = 30" in (tmp_path / "run/checkpoint-000030/config.toml").read_text()


def test_ctrl_c_ends_cleanly_and_resumes(moiety, tmp_path):
    config = configuration(tmp_path, steps=100000)
    process = subprocess.Popen([moiety, "--quiet", "train", str(config)], stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 60
    while not list((tmp_path / "run").glob("checkpoint-??????")) and time.time() < deadline:
        time.sleep(0.05)
    assert "another `moiety train` is at work there" in call(moiety, "train", "--resume", tmp_path / "run", status=1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert not list((tmp_path / "run").glob("*.tmp*")) and list((tmp_path / "run").glob("checkpoint-??????"))


def test_a_full_disk_keeps_the_last_checkpoint(moiety, tmp_path):
    config = configuration(tmp_path, steps=100000)

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    message = call(moiety, "train", config, status=1, preexec_fn=small_files)
    assert "written" in message or "large" in message
    assert not list((tmp_path / "run").glob("*.tmp*"))


@pytest.mark.parametrize("change, words", [
    ({"more": "stepz = 3"}, "did you mean 'steps'"),
    ({"ffn": "experts = 4, width = 16"}, "'routing' is missing"),
    ({"ffn": 'experts = 4, width = 16, routing = "softmax | top_k(9)"'}, "top_k"),
    ({"ffn": 'experts = 4, width = -1, routing = "softmax | top_k(1)"'}, "not negative"),
    ({"ffn": 'experts = 4, width = 16, routing = "@model"'}, "@model is this text itself"),
    ({"validation": 1.5}, "share"),
    ({"ffn": 'experts = 4, width = 999999999999, routing = "softmax | top_k(1)"'}, "larger than"),
    ({"more": "batch_ = [1"}, "run.toml:"),
    ({"more": 'precision = "fp8"'}, "f32 or bf16"),
    ({"ffn": 'experts = 4, width = 16, routing = "softmax | top_k(2)", output_scale = 0.5'}, "no export has words for it"),
    ({"ffn": 'experts = 4, width = 16, routing = "softmax | top_k(2)", activation = "tanh"'}, "gelu_quick"),
])
def test_wrong_descriptions_are_named(moiety, tmp_path, change, words):
    message = call(moiety, "train", configuration(tmp_path, **change), status=2)
    assert words in message and "run.toml:" in message
    assert not (tmp_path / "run").exists()


def test_missing_and_empty_data(moiety, tmp_path):
    config = configuration(tmp_path)
    (tmp_path / "words.txt").write_text("")
    assert "words.txt" in call(moiety, "train", config, status=1)
    (tmp_path / "words.txt").unlink()
    assert "words.txt" in call(moiety, "train", config, status=2)
    assert "CONFIG.toml" in call(moiety, "train", status=2)
    assert "no checkpoint" in call(moiety, "train", "--resume", tmp_path, status=1)


def test_absurd_shapes_take_no_memory(moiety, tmp_path):
    for ffn in ('experts = 1000000, width = 1000000, routing = "softmax | top_k(1)"', 'experts = 100000000, width = 100000000, routing = "softmax | top_k(1)"'):
        run = subprocess.run([moiety, "--quiet", "train", configuration(tmp_path, ffn=ffn)], capture_output=True, text=True, timeout=60)
        assert run.returncode in (1, 2) and ("parameters" in run.stderr or "numbers" in run.stderr or "experts in all" in run.stderr), run.stderr


def test_divergence_is_named(moiety, tmp_path):
    config = configuration(tmp_path, steps=200)
    config.write_text(config.read_text().replace("peak = 0.01", "peak = 1e30"))
    message = call(moiety, "train", config, status=1)
    assert message.startswith("moiety: step ") and "not finite" in message


def test_the_program_that_trains_is_missing(moiety, tmp_path):
    shutil.copy(moiety, tmp_path / "moiety")
    message = call(tmp_path / "moiety", "train", configuration(tmp_path), status=1)
    assert "libtorch-dev" in message
