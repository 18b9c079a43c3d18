# The commands of the project; `make demo` and `make test` need only Python 3.11, git and make.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.complete

.PHONY: endurance fuzz env demo federation-demo test test-all test-browser screenshots lint format check docs bench audit wheel-smoke clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

demo: env
	$(BIN)/bench run --generator dp-wgan --epsilon 2,5,7.4,inf

federation-demo: env
	$(BIN)/python tests/federation/loopback.py --tls

# In the order of their names files are short at the end, so that neither worker waits for the other.
test: env
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow and not gpu and not browser'

test-all: env
	command -v postgres > /dev/null || ls /usr/lib/postgresql/*/bin/postgres > /dev/null 2>&1 \
		|| { apt-get update && apt-get install --yes postgresql; }
	$(BIN)/pytest

# Fifty kills each of a sweep, sites, one-shot fits under a cap and a search, compared byte for byte.
endurance: env
	ENDURANCE_KILLS=50 OMP_NUM_THREADS=1 $(BIN)/pytest tests/endurance/test_kills.py
	ENDURANCE_KILLS=20 $(BIN)/pytest tests/federation/test_deployment.py -k random_instants

# More than 20,000 inputs; FUZZ_SEED=N repeats, and makes others.
fuzz: env
	FUZZ_EXAMPLES=1500 OMP_NUM_THREADS=1 $(BIN)/pytest tests/endurance/test_fuzz.py \
		tests/endurance/test_fuzz_releases.py tests/endurance/test_fuzz_deployments.py

test-browser: env
	command -v chromium > /dev/null || { apt-get update && apt-get install --yes chromium; }
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,browser]'
	$(BIN)/pytest -m browser

screenshots: demo
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,browser]'
	$(BIN)/python tests/browser/screenshots.py runs docs/images

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: format lint test

# Nothing that a page loads may come from elsewhere: the site is read without a network.
docs: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	! grep -rnoE '<(script|link|img|iframe)[^>]+(src|href)="https?://[^"]+\.(js|css|png|svg|woff2?)[^"]*"' .site
	@echo 'Open .site/index.html; the search box needs a server: python -m http.server --directory .site'

bench: env
	mkdir -p .benchmarks
	$(BIN)/pytest tests/performance --benchmark-enable --benchmark-only \
		--benchmark-json .benchmarks/pinned.json
	ANGIOBENCH_BENCH_MALLOC=default $(BIN)/pytest tests/performance/test_private_step.py \
		--benchmark-enable --benchmark-only --benchmark-json .benchmarks/default.json
	$(BIN)/python tests/performance/ratios.py .benchmarks/pinned.json .benchmarks/default.json

audit: env
	PYTHONPATH=tests/audit:tests/federation $(BIN)/python tests/audit/test_planted_faults.py

wheel-smoke: env
	sh tests/wheel_smoke.sh

clean:
	rm -rf .venv .site build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
