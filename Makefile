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
as_jobs = $(if $(call given,DRY),--dry) $(if $(call given,SEEDS),--seeds '$(call given,SEEDS)')
command = $(if $(slurm),submit $(as_jobs),fit)
# of the commands that train something else: submit NAME, or NAME alone
submit = $(if $(slurm),submit )

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*## .*/\1/p' $(firstword $(MAKEFILE_LIST)))

# `target: ## Group | what it does`, below it `#: what it takes`
help: ## Start | this list
	@echo 'make TARGET [VARIABLE=value] [ARGS=...]'
	@awk '/^[a-z-]+:.*## / { name = group = text = $$0; sub(/:.*/, "", name); sub(/.*## /, "", group); \
			sub(/ [|].*/, "", group); sub(/.* [|] /, "", text); if (!(group in page)) order[++count] = group; \
			page[group] = page[group] sprintf("  %-12s %s\n", name, text) } \
		/^#: / { page[group] = page[group] sprintf("  %-12s   %s\n", "", substr($$0, 4)) } \
		END { for (at = 1; at <= count; at++) printf "\n%s\n%s", order[at], page[order[at]] }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'RUN is an experiment (its newest run), a run ID or a run directory. ARGS is'
	@echo 'passed on as it stands; `transferlab COMMAND --help` shows what can be given:'
	@echo "  make exp NAME=lora_sst2 ARGS='--trainer.max_epochs 1'"
	@echo "  make compare ARGS='--task sst2 --format markdown'"
	@echo "  make test ARGS='tests/test_compare.py -x'"

install: $(STAMP) ## Start | create .venv; again when pyproject.toml or constraints.txt change
	@:

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'install: Python 3.11 or later is needed: make install PYTHON=python3.11' >&2; exit 2; }
	@echo 'installing into $(VENV); the first time takes minutes'
	@test -x $(PY) || { echo 'making $(VENV)'; $(PYTHON) -m venv $(VENV); }
	@$(PY) .ci/install --use-pep517 -c constraints.txt -e '.[demo,dev,bench,search,export,explain]'
	@touch $@

demo: $(STAMP) ## Start | strategies on a small generated task, compared; no network
	$(RUNNER) demo $(call given,ARGS)

exp: ## Train | train, select, test; NAME as in `make list`, or STRATEGY_TASK
#: NAME=lora_sst2 [ENCODER=bert_base] [TRAINER=ddp] [LOGGER=csv]
#: [TASK=mrpc] [STRATEGY=dora] [RUN=directory]
#: [LAUNCHER=slurm [SEEDS=5] [DRY=1]]
	$(call need,NAME,lora_sst2)
	$(check_launcher)
	@$(MAKE) --no-print-directory install
	$(if $(slurm),$(if $(call given,RUN),@echo 'exp: with LAUNCHER=slurm a run gets a directory of its own; to resume one: make resume RUN=... LAUNCHER=slurm' >&2; exit 2))
	$(RUNNER) $(command) --experiment '$(call given,NAME)' $(choices) $(if $(call given,RUN),--resume '$(call given,RUN)') $(call given,ARGS)

pretrain: ## Train | an encoder on unlabelled text; NAME as in configs/pretrain/
#: NAME=mlm_imdb (or RUN=mlm_imdb to resume one)
#: [LAUNCHER=slurm [SEEDS=5] [DRY=1]]
	$(if $(call given,RUN),,$(call need,NAME,mlm_imdb))
	$(check_launcher)
	@$(MAKE) --no-print-directory install
	$(RUNNER) $(submit)pretrain $(if $(call given,RUN),--resume '$(call given,RUN)','$(call given,NAME)') $(if $(slurm),$(as_jobs)) $(call given,ARGS)

multitask: ## Train | several tasks with one encoder; NAME as in configs/multitask/
#: NAME=demo (or RUN=multitask_demo to resume one)
#: [LAUNCHER=slurm [SEEDS=5] [DRY=1]]
	$(if $(call given,RUN),,$(call need,NAME,demo))
	$(check_launcher)
	@$(MAKE) --no-print-directory install
	$(RUNNER) $(submit)multitask $(if $(call given,RUN),--resume '$(call given,RUN)','$(call given,NAME)') $(if $(slurm),$(as_jobs)) $(call given,ARGS)

sequence: ## Train | tasks one after the other; NAME as in configs/multitask/
#: NAME=demo [METHOD=ewc] (or RUN=sequence_demo_ewc to resume)
#: [LAUNCHER=slurm [SEEDS=5] [DRY=1]]
	$(if $(call given,RUN),,$(call need,NAME,demo))
	$(check_launcher)
	@$(MAKE) --no-print-directory install
	$(RUNNER) $(submit)sequence $(if $(call given,RUN),--resume '$(call given,RUN)','$(call given,NAME)') \
		$(if $(call given,METHOD),--method '$(call given,METHOD)') $(if $(slurm),$(as_jobs)) $(call given,ARGS)

resume: ## Train | resume a run that was stopped or killed
#: RUN=lora_sst2 [LAUNCHER=slurm [DRY=1]]
	$(call need,RUN,lora_sst2)
	$(check_launcher)
	@$(MAKE) --no-print-directory install
	$(RUNNER) $(command) --resume '$(call given,RUN)' $(call given,ARGS)

fetch: ## Train | data and weights beforehand, for nodes without internet
#: NAME=lora_sst2 [ENCODER=bert_base]
	$(call need,NAME,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) fetch --experiment '$(call given,NAME)' $(choices) $(call given,ARGS)

test-run: ## Use a finished run | test it again
#: RUN=lora_sst2
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) test --run '$(call given,RUN)' $(call given,ARGS)

predict: ## Use a finished run | predict unlabeled examples, or the rows of a file
#: RUN=lora_sst2 [INPUT=new.csv] [OUTPUT=answers.csv]
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) predict --run '$(call given,RUN)' $(if $(call given,INPUT),'$(call given,INPUT)') \
		$(if $(call given,OUTPUT),--output '$(call given,OUTPUT)') $(call given,ARGS)

export: ## Use a finished run | a folder that others load: ONNX, peft, ...
#: RUN=lora_sst2 [FORMAT=onnx]
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) export --run '$(call given,RUN)' $(if $(call given,FORMAT),--format '$(call given,FORMAT)') \
		$(call given,ARGS)

extract: ## Use a finished run | entities of texts and the relations between them
#: NER=lora_conll2003 RELATION=lora_semeval INPUT=new.jsonl
#: [OUTPUT=triples.jsonl]
	$(call need,NER,lora_conll2003)
	$(call need,RELATION,lora_semeval)
	$(call need,INPUT,new.jsonl)
	@$(MAKE) --no-print-directory install
	$(RUNNER) extract --ner '$(call given,NER)' --relation '$(call given,RELATION)' '$(call given,INPUT)' \
		$(if $(call given,OUTPUT),--output '$(call given,OUTPUT)') $(call given,ARGS)

serve: ## Use a finished run | answer new texts over HTTP
#: RUN=lora_sst2 (or an exported folder)
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) serve '$(call given,RUN)' $(call given,ARGS)

explain: ## Use a finished run | which words its answers come from
#: RUN=lora_sst2 INPUT=new.csv
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) explain --run '$(call given,RUN)' $(if $(call given,INPUT),'$(call given,INPUT)') $(call given,ARGS)

drift: ## Use a finished run | how new texts differ from its validation set
#: RUN=lora_sst2 INPUT=new.csv
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) drift --run '$(call given,RUN)' $(if $(call given,INPUT),'$(call given,INPUT)') $(call given,ARGS)

robustness: ## Use a finished run | its answers to typos, other case, synonyms and names
#: RUN=lora_sst2
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) robustness --run $(call given,RUN) $(call given,ARGS)

update: ## Train | train a finished run on new examples, and on some of its old ones
#: RUN=lora_sst2 DATA=new.csv
	$(call need,RUN,lora_sst2)
	$(call need,DATA,new.csv)
	@$(MAKE) --no-print-directory install
	$(RUNNER) update --run '$(call given,RUN)' --data '$(call given,DATA)' $(call given,ARGS)

quantise: ## Use a finished run | int8 or float16, with what it costs
#: RUN=lora_sst2 [FORM=int8-dynamic]
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) quantise --run '$(call given,RUN)' $(if $(call given,FORM),--form '$(call given,FORM)') \
		$(call given,ARGS)

prune: ## Use a finished run | drop the attention heads that matter least
#: RUN=full_finetuning_sst2 [HEADS=25%]
	$(call need,RUN,full_finetuning_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) prune --run '$(call given,RUN)' $(if $(call given,HEADS),--heads '$(call given,HEADS)') \
		$(call given,ARGS)

baseline: ## Compare | methods without an encoder on the same examples
#: NAME=lora_sst2 [METHOD=all]
	$(call need,NAME,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) baseline --experiment '$(call given,NAME)' $(choices) \
		$(if $(call given,METHOD),--method '$(call given,METHOD)') $(call given,ARGS)

rank-encoders: ## Compare | which encoder suits a task, without fine-tuning
#: TASK=sst2 [ENCODERS='minilm_l6 mlm_imdb']
	$(call need,TASK,sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) rank-encoders --task '$(call given,TASK)' \
		$(if $(call given,ENCODERS),--encoders $(call given,ENCODERS)) $(call given,ARGS)

sweep: ## Train | a grid of runs; finished ones are left alone
#: SWEEP=sst2 (configs/sweep/) [DRY=1] [JOBS=2] [LAUNCHER=slurm]
	$(call need,SWEEP,sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) sweep '$(call given,SWEEP)' $(if $(call given,DRY),--dry) \
		$(if $(call given,JOBS),--jobs '$(call given,JOBS)') \
		$(if $(call given,LAUNCHER),--launcher '$(call given,LAUNCHER)') $(call given,ARGS)

seeds: ## Train | an experiment with several seeds
#: NAME=lora_sst2 [SEEDS=5] [DRY=1] [JOBS=2] [LAUNCHER=slurm]
	$(call need,NAME,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) seeds '$(call given,NAME)' $(if $(call given,SEEDS),--seeds '$(call given,SEEDS)') \
		$(if $(call given,DRY),--dry) $(if $(call given,JOBS),--jobs '$(call given,JOBS)') \
		$(if $(call given,LAUNCHER),--launcher '$(call given,LAUNCHER)') $(call given,ARGS)

curve: $(STAMP) ## Compare | quality over the number of labels
#: ARGS='--task sst2 --tag sst2_labels --picture curve.png'
	@$(RUNNER) curve $(call given,ARGS)

report: $(STAMP) ## Compare | one HTML file on all runs, for a browser
	@$(RUNNER) report $(call given,ARGS)

compare: $(STAMP) ## Compare | table of all settings, seeds averaged and tested
	@$(RUNNER) compare $(call given,ARGS)

merge: ## Use a finished run | one encoder from several runs, by their weights
#: RUNS='full_finetuning_rte full_finetuning_mrpc' [METHOD=ties]
	$(call need,RUNS,'full_finetuning_rte full_finetuning_mrpc')
	@$(MAKE) --no-print-directory install
	$(RUNNER) merge --runs $(call given,RUNS) $(if $(call given,METHOD),--method '$(call given,METHOD)') $(call given,ARGS)

card: ## Use a finished run | model card of a run and its other seeds
#: RUN=lora_sst2
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) card --run '$(call given,RUN)' $(call given,ARGS)

forgetting: ## Use a finished run | what a tuned encoder still knows
#: RUN=lora_sst2 [PROBE='stsb sst2']
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) forgetting --run $(call given,RUN) $(if $(call given,PROBE),--probe $(call given,PROBE)) $(call given,ARGS)

claims: $(STAMP) ## Compare | what the kept runs say of claims of the field
#: [CLAIM=label_efficiency] [RUN=1 makes new runs]
	@$(RUNNER) claims $(if $(call given,CLAIM),--claim '$(call given,CLAIM)') $(if $(call given,RUN),--run) $(call given,ARGS)

results: $(STAMP) ## Compare | the tables of README.md and docs/results.md, from kept runs
	@$(RUNNER) claims --readme $(call given,ARGS)

search: ## Train | the best hyperparameters of an experiment
#: SEARCH=lora_sst2 (configs/search/) [DRY=1] [JOBS=1]
	$(call need,SEARCH,lora_sst2)
	@$(MAKE) --no-print-directory install
	$(RUNNER) search '$(call given,SEARCH)' $(if $(call given,DRY),--dry) \
		$(if $(call given,JOBS),--jobs '$(call given,JOBS)') $(call given,ARGS)

inspect: ## Start | what stands in a task: labels, lengths, repeated texts
#: TASK=sst2
	$(call need,TASK,sst2)
	@$(MAKE) --no-print-directory install
	@$(RUNNER) inspect $(call given,TASK) $(call given,ARGS)

doctor: $(STAMP) ## Start | what this machine has and lacks: releases, hardware, disk
	@$(RUNNER) doctor $(call given,ARGS)

list: $(STAMP) ## Start | all experiments, one line each
	@$(RUNNER) list $(call given,ARGS)

submission: ## Use a finished run | zip file for the GLUE server
#: RUNS='lora_cola lora_sst2 ...'
	$(call need,RUNS,'lora_cola lora_sst2')
	@$(MAKE) --no-print-directory install
	$(RUNNER) submission $(call given,RUNS) $(call given,ARGS)

workspace: $(STAMP) ## Watch | the W&B page that compares strategies; --push needs a key
	@$(RUNNER) workspace $(call given,ARGS)

watch: ## Watch | terminal dashboard of a run from its W&B files
#: RUN=lora_sst2
	$(call need,RUN,lora_sst2)
	@$(MAKE) --no-print-directory install
	@$(RUNNER) watch '$(call given,RUN)'

dashboard: $(STAMP) ## Watch | curves of all runs on this machine, without an account
	@$(RUNNER) dashboard $(call given,ARGS)

bench: $(STAMP) ## Develop | speed, memory and accuracy against the usual tools
#: [QUICK=1] [ARGS='--suite commands']
	$(PY) -m benchmarks.bench $(if $(call given,QUICK),--quick) $(call given,ARGS)

kill-sweep: $(STAMP) ## Develop | kill runs everywhere, compare them with runs left alone
#: [QUICK=1]
	$(PY) tests/kill_sweep.py $(if $(call given,QUICK),--quick) $(call given,ARGS)

test: $(STAMP) ## Develop | tests that take seconds and need no network
	$(PY) -m pytest -n auto $(call given,ARGS)

test-all: $(STAMP) ## Develop | the slow tests too
	$(PY) -m pytest -n auto -m 'not gpu and not slurm and not network' $(call given,ARGS)

test-cluster: $(STAMP) ## Develop | jobs of a real Slurm, installed if need be (Debian, as root)
	$(PY) -m pytest -m slurm tests/cluster $(call given,ARGS)

docs: $(STAMP) ## Develop | the pages and the API reference, into site/
	@$(PY) -c 'import mkdocstrings, material' 2>/dev/null || \
		{ echo 'installing what builds the pages'; $(PY) .ci/install -c constraints.txt '.[docs]'; }
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict $(call given,ARGS)
	@echo 'site/index.html'

lint: $(STAMP) ## Develop | ruff: rules and format
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(STAMP) ## Develop | let ruff rewrite what it can
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

types: $(STAMP) ## Develop | mypy --strict
	$(PY) -m mypy

clean: ## Develop | remove caches and build files; .venv/ and runs/ stay
	rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache src/*.egg-info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
