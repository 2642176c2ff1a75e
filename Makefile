# make demo and make test first do the missing set-up. make help lists all targets.
.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint docs bench clean

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# SwiftPM and clang keep caches in the home folder. Some build machines make it read-only, so the caches then go into build/.
ifeq ($(shell test -w "$$HOME" && echo yes),)
export XDG_CACHE_HOME := $(CURDIR)/build/cache
export XDG_CONFIG_HOME := $(CURDIR)/build/config
endif

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## find or install libtorch, build the C++ part, make the digits
	@scripts/bootstrap

build: setup ## build the command .build/release/sat
	@swift build -c release --product sat

demo: build ## train P-SAT on real digits, evaluate it, suggest further commands
	@scripts/demo

lint: ## check the layout of every source file
	@scripts/lint

test: ## check the layout, run every test: the C ABI, the libraries, the command, the examples
	@scripts/test

docs: ## build the documentation of the libraries with DocC
	@scripts/docs

bench: build ## compare speed and memory with PyTorch and C++
	@scripts/bench

clean: ## remove all build results; keep .venv, data and runs
	rm -rf .build build Examples/*/.build Benchmarks/*/.build
