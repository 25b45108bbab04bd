#!/usr/bin/env bash
# Fuzzes every parser for the given number of seconds, under AddressSanitizer and UBSan. Ends with status 1 on a finding, whose input
# lies in build-fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
cmake $(command -v ninja >/dev/null && echo -G Ninja) -S . -B build-fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  -DMOIETY_FUZZ=ON -DMOIETY_SANITIZE=ON -DMOIETY_TESTS=OFF -DCMAKE_BUILD_TYPE=Release -Wno-dev >/dev/null
cmake --build build-fuzz --target fuzzers
/usr/bin/env python3 scripts/make_seed_corpus.py build-fuzz/corpus
mkdir -p build-fuzz/findings
passed=0
failed=()
run_one() {  # name
  mkdir -p "build-fuzz/grown/$1"
  "build-fuzz/fuzz/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build-fuzz/findings/$1-" "build-fuzz/grown/$1" "build-fuzz/corpus/$1" >"build-fuzz/$1.log" 2>&1
}
for source in fuzz/*_fuzz.cc; do
  name=$(basename "$source" .cc)
  if run_one "$name"; then
    passed=$((passed + 1))
    printf '%-24s %s inputs\n' "$name" "$(sed -n 's/.*number_of_executed_units: //p' "build-fuzz/$name.log")"
  else
    failed+=("$name")
    tail -40 "build-fuzz/$name.log"
  fi
done
echo "fuzzing: $passed passed, ${#failed[@]} failed"
[ ${#failed[@]} -eq 0 ]
