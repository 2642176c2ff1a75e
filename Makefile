# make demo and make test do whatever set-up is missing first. make help lists the rest.
.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint bench clean

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# SwiftPM and clang keep caches in the home folder, which a build machine may not let them write.
ifeq ($(shell test -w "$$HOME" && echo yes),)
export XDG_CACHE_HOME := $(CURDIR)/build/cache
export XDG_CONFIG_HOME := $(CURDIR)/build/config
endif

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## find or install libtorch, build the C++ half, make the digits
	@scripts/bootstrap

build: setup ## build the command .build/release/sat
	@swift build -c release --product sat

demo: build ## train P-SAT on real digits, evaluate it, say what to try next
	@scripts/demo

lint: ## check the layout of every source file
	@scripts/lint

test: ## check the layout, run every test: the C ABI, the libraries, the command, the examples
	@scripts/test

bench: build ## compare speed and memory with PyTorch
	@scripts/bench

clean: ## remove what was built; keeps .venv, data and runs
	rm -rf .build build Examples/*/.build Benchmarks/*/.build
