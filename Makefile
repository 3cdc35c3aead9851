# GNU make. Everything runs in .venv, which the first target that needs it creates.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
RUNNER := $(PY) -m transferlab
# what is said to be typed next is a target of this file then
export TRANSFERLAB_MAKE := 1

# a variable of the same name in the environment is not meant for this file
given = $(if $(filter command line,$(origin $(1))),$($(1)))
need = @test -n '$(call given,$(1))' || { echo "$@: say which one: make $@ $(1)=$(2)" >&2; exit 2; }

slurm = $(filter slurm,$(call given,LAUNCHER))
check_launcher = @test -n '$(slurm)' || test -z '$(call given,LAUNCHER)$(call given,SEEDS)$(call given,DRY)' || \
	{ echo '$@: SEEDS and DRY want LAUNCHER=slurm; there is no other LAUNCHER' >&2; exit 2; }
# another config in the place of the experiment's own
choices = $(if $(call given,TASK),--task '$(call given,TASK)') $(if $(call given,ENCODER),--encoder '$(call given,ENCODER)') \
	$(if $(call given,STRATEGY),--strategy '$(call given,STRATEGY)') \
	$(if $(call given,TRAINER),--trainer '$(call given,TRAINER)') $(if $(call given,LOGGER),--logger '$(call given,LOGGER)')
command = $(if $(slurm),submit $(if $(call given,DRY),--dry) $(if $(call given,SEEDS),--seeds '$(call given,SEEDS)'),fit)

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*## .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## this list
	@echo 'make TARGET [VARIABLE=value]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'ARGS is passed on as it stands:'
	@echo "  make exp NAME=lora_sst2 ARGS='--trainer.max_epochs 1 --data.train_fraction 0.1'"
	@echo "  make compare ARGS='--task sst2 --format markdown'"
	@echo "  make test ARGS='tests/test_compare.py -x'"

install: $(STAMP) ## create .venv with all that is needed; again when pyproject.toml or constraints.txt change
	@:

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'install: Python 3.11 or later is needed: make install PYTHON=python3.11' >&2; exit 2; }
	@echo 'installing into $(VENV); the first time takes minutes'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt -e '.[demo,dev,bench,search]'
	@touch $@

demo: $(STAMP) ## a few strategies on a small generated task, without network; ends with the table and the report
	$(RUNNER) demo $(call given,ARGS)

exp: ## train, select, test: NAME=lora_sst2 (`make list`, or any STRATEGY_TASK) [ENCODER=bert_base] [TRAINER=ddp] [LOGGER=csv] [RUN=folder] [LAUNCHER=slurm [SEEDS=5] [DRY=1]] [ARGS=...]
	$(call need,NAME,lora_sst2)
	$(check_launcher)
	@$(MAKE) --no-print-directory install
	$(if $(slurm),$(if $(call given,RUN),@echo 'exp: with LAUNCHER=slurm a run gets a directory of its own; to resume one: make resume RUN=... LAUNCHER=slurm' >&2; exit 2))
	$(RUNNER) $(command) --experiment '$(call given,NAME)' $(choices) $(if $(call given,RUN),--resume '$(call given,RUN)') $(call given,ARGS)

resume: ## resume a run that was stopped or killed: RUN=<experiment, run ID or directory> [LAUNCHER=slurm [DRY=1]] [ARGS=...]
	$(call need,RUN,lora_sst2)
	$(check_launcher)
	@$(MAKE) --no-print-directory install
	$(RUNNER) $(command) --resume '$(call given,RUN)' $(call given,ARGS)

fetch: ## bring data and weights of an experiment, for nodes without internet: NAME=lora_sst2 [ARGS=...]
	$(call need,NAME,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) fetch --experiment '$(call given,NAME)' $(choices) $(call given,ARGS)

test-run: ## test a finished run again: RUN=<experiment, run ID or directory> [ARGS=...]
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) test --run '$(call given,RUN)' $(call given,ARGS)

predict: ## predict the rows of a file, or the unlabeled examples: RUN=<experiment, run ID or directory> [INPUT=...] [OUTPUT=...] [ARGS=...]
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) predict --run '$(call given,RUN)' $(if $(call given,INPUT),'$(call given,INPUT)') \
		$(if $(call given,OUTPUT),--output '$(call given,OUTPUT)') $(call given,ARGS)

baseline: ## methods without an encoder on the same examples: NAME=lora_sst2 [METHOD=all] [ARGS=...]
	$(call need,NAME,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) baseline --experiment '$(call given,NAME)' $(choices) \
		$(if $(call given,METHOD),--method '$(call given,METHOD)') $(call given,ARGS)

sweep: ## a grid of runs, resumes where it was: SWEEP=<file in configs/sweep/> [DRY=1] [JOBS=1] [LAUNCHER=slurm] [ARGS=...]
	$(call need,SWEEP,sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) sweep '$(call given,SWEEP)' $(if $(call given,DRY),--dry) \
		$(if $(call given,JOBS),--jobs '$(call given,JOBS)') \
		$(if $(call given,LAUNCHER),--launcher '$(call given,LAUNCHER)') $(call given,ARGS)

seeds: ## an experiment with several seeds: NAME=lora_sst2 [SEEDS=5] [DRY=1] [JOBS=1] [LAUNCHER=slurm] [ARGS=...]
	$(call need,NAME,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) seeds '$(call given,NAME)' $(if $(call given,SEEDS),--seeds '$(call given,SEEDS)') \
		$(if $(call given,DRY),--dry) $(if $(call given,JOBS),--jobs '$(call given,JOBS)') \
		$(if $(call given,LAUNCHER),--launcher '$(call given,LAUNCHER)') $(call given,ARGS)

curve: $(STAMP) ## quality over the number of labels [ARGS='--task sst2 --tag sst2_labels --picture curve.png']
	@$(RUNNER) curve $(call given,ARGS)

report: $(STAMP) ## one HTML file on all runs, to look at in a browser [ARGS='--task sst2 --output report.html']
	@$(RUNNER) report $(call given,ARGS)

compare: $(STAMP) ## table of all settings, seeds averaged and tested [ARGS='--task sst2 --reference lora']
	@$(RUNNER) compare $(call given,ARGS)

card: ## model card of a run and its other seeds: RUN=<experiment, run ID or directory> [ARGS=...]
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) card --run '$(call given,RUN)' $(call given,ARGS)

forgetting: ## what a tuned encoder still knows: RUN=<experiment, run ID or directory> [PROBE='stsb sst2'] [ARGS=...]
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) forgetting --run $(call given,RUN) $(if $(call given,PROBE),--probe $(call given,PROBE)) $(call given,ARGS)

claims: $(STAMP) ## what the kept runs say of the claims of the field; docs/claims.md [CLAIM=label_efficiency] [RUN=1 makes new ones] [ARGS=...]
	@$(RUNNER) claims $(if $(call given,CLAIM),--claim '$(call given,CLAIM)') $(if $(call given,RUN),--run) $(call given,ARGS)

results: $(STAMP) ## the claims and the tables of README.md and docs/results.md, from the kept runs [ARGS=...]
	@$(RUNNER) claims --readme $(call given,ARGS)

search: ## search the best keys of an experiment: SEARCH=<file in configs/search/> [DRY=1] [JOBS=1] [ARGS=...]
	$(call need,SEARCH,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) search '$(call given,SEARCH)' $(if $(call given,DRY),--dry) \
		$(if $(call given,JOBS),--jobs '$(call given,JOBS)') $(call given,ARGS)

inspect: ## texts that repeat, contradict or stand in two splits: TASK=<task, experiment or file> [ARGS='--format markdown']
	$(call need,TASK,sst2)
	@$(MAKE) --no-print-directory install
	@$(RUNNER) inspect $(call given,TASK) $(call given,ARGS)

doctor: $(STAMP) ## what this machine has and lacks: releases, hardware, the Hub, data, disk [ARGS=...]
	@$(RUNNER) doctor $(call given,ARGS)

list: $(STAMP) ## all experiments, one line each
	@$(RUNNER) list $(call given,ARGS)

submission: ## zip file for the GLUE server: RUNS='lora_cola lora_sst2 ...' [ARGS='--output submission.zip']
	$(call need,RUNS,'lora_cola lora_sst2')
	@$(MAKE) --no-print-directory install
	$(RUNNER) submission $(call given,RUNS) $(call given,ARGS)

workspace: $(STAMP) ## the W&B page that compares strategies: JSON, or on W&B with a key [ARGS='--push --task sst2']
	@$(RUNNER) workspace $(call given,ARGS)

watch: ## terminal dashboard of a run from its W&B files, while it trains too: RUN=<experiment, run ID or directory>
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	@$(RUNNER) watch '$(call given,RUN)'

dashboard: $(STAMP) ## curves of all runs in a dashboard on this machine, without an account [ARGS='--task sst2 --port 7861']
	@$(RUNNER) dashboard $(call given,ARGS)

bench: $(STAMP) ## speed, memory and accuracy against what one would use instead: [QUICK=1] [ARGS='--rows lora']
	$(PY) -m benchmarks.bench $(if $(call given,QUICK),--quick) $(call given,ARGS)

kill-sweep: $(STAMP) ## kill and signal runs everywhere, compare them with runs left alone: [QUICK=1] [ARGS=cases]
	$(PY) tests/kill_sweep.py $(if $(call given,QUICK),--quick) $(call given,ARGS)

test: $(STAMP) ## tests that take seconds and need no network [ARGS=...]
	$(PY) -m pytest -n auto $(call given,ARGS)

test-all: $(STAMP) ## the slow tests too [ARGS=...]
	$(PY) -m pytest -n auto -m 'not gpu and not slurm and not network' $(call given,ARGS)

test-cluster: $(STAMP) ## jobs of a real Slurm on this machine, which is installed if need be (Debian, as root) [ARGS=...]
	$(PY) -m pytest -m slurm tests/cluster $(call given,ARGS)

docs: $(STAMP) ## build the pages and the API reference into site/, links checked; offline once installed
	@$(PY) -c 'import mkdocstrings, material' 2>/dev/null || \
		{ echo 'installing what builds the pages'; $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt '.[docs]'; }
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict $(call given,ARGS)
	@echo 'site/index.html'

lint: $(STAMP) ## ruff: rules and format
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(STAMP) ## let ruff rewrite what it can
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

types: $(STAMP) ## mypy --strict
	$(PY) -m mypy

clean: ## remove caches and build files; leaves .venv/ and runs/
	rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache src/*.egg-info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
