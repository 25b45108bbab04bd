#!/usr/bin/env bash
# The main job on real input, without a network: the model that ships continues texts of several kinds, shows which experts worked, and loses one.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory all
moiety=build/moiety
work=build/demo
mkdir -p "$work"
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -n "${NO_COLOR:-}" ] || [ ! -t 1 ] && say() { printf '\n%s\n' "$*"; }

say "moiety inspect: a mixture that this project trained (models/moiety-mini/README.md)"
$moiety inspect moiety-mini
say "moiety run: it goes on with what it is given; it knows manuals, code, sums and a little German and French"
for prompt in "The system call" $'def read_lines(path):\n' "Die Datei" $'Differentiate 3x^2 + 5x.\n'; do
  printf '\n> %s' "$prompt"
  $moiety --quiet run moiety-mini "$prompt" --raw -n 48 --temp 0.7 --seed 1
done
say "moiety trace and routes: which experts served which token of two kinds of text"
$moiety --quiet trace moiety-mini $'The system call returns the number of bytes that were read, or -1 on error.\n\ndef size(self):\n    return len(self.data)\n' --out "$work/trace.npz"
$moiety routes "$work/trace.npz" --html "$work/routes.html" --model moiety-mini
say "moiety eval compare: what the model loses with one expert a token instead of four"
$moiety --quiet eval compare moiety-mini --other-routing "@model | keep(1) | renorm" --file README.md
say "The experts as a page: $work/routes.html. A chat model made into a mixture, from PyPI: make demo-upcycle"
