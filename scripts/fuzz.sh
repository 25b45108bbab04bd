#!/usr/bin/env bash
# Fuzzes every parser for the given number of seconds, as many at once as there are processors, under AddressSanitizer and UBSan:
#   fuzz.sh SECONDS [NAME…]      FUZZ_JOBS: how many at once
# Ends with status 1 on a finding, whose input lies in build-sanitize/findings. What was learnt stays in build-sanitize/grown for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
shift || true
jobs=${FUZZ_JOBS:-$(nproc)}
cmake --preset sanitize >/dev/null
cmake --build build-sanitize --target fuzzers
rm -rf build-sanitize/corpus
/usr/bin/env python3 scripts/make_seed_corpus.py build-sanitize/corpus
mkdir -p build-sanitize/findings build-sanitize/fuzz-logs
names=("$@")
[ ${#names[@]} -gt 0 ] || for source in fuzz/*_fuzz.cc; do names+=("$(basename "$source" .cc)"); done

run_one() {  # name
  mkdir -p "build-sanitize/grown/$1"
  local status=0
  "build-sanitize/fuzz/$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build-sanitize/findings/$1-" "build-sanitize/grown/$1" "build-sanitize/corpus/$1" >"build-sanitize/fuzz-logs/$1" 2>&1 || status=$?
  echo $status >"build-sanitize/fuzz-logs/$1.status"
}
for name in "${names[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
  run_one "$name" &
done
wait

failed=0
for name in "${names[@]}"; do
  if [ "$(cat "build-sanitize/fuzz-logs/$name.status")" = 0 ]; then
    printf '%-24s %s inputs\n' "$name" "$(sed -n 's/.*number_of_executed_units: //p' "build-sanitize/fuzz-logs/$name")"
  else
    failed=$((failed + 1))
    tail -40 "build-sanitize/fuzz-logs/$name"
  fi
done
echo "fuzzing for $seconds s: $((${#names[@]} - failed)) passed, $failed failed"
[ $failed -eq 0 ]
