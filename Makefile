VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo test tests test-slow test-chaos test-oldest lint picture bench clean

install: $(INSTALLED)

$(INSTALLED): setup.py $(CONSTRAINTS)
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) --no-build-isolation -e '.[dev]'
	touch $@

demo: install
	rm -rf demo
	$(BIN)/corrstore synth demo/archive --fault all --forecast-runs 2
	$(BIN)/corrstore plan demo
	$(BIN)/corrstore build demo --output demo/store --catalog demo/catalog
	$(BIN)/corrstore verify demo/store --against-source
	$(BIN)/corrstore report demo/store --output demo/report.html
	$(BIN)/corrstore catalog page demo/page --catalog demo/catalog
	$(BIN)/corrstore train --processes 2 --store demo/store --preset demo --output demo/regression
	$(BIN)/corrstore train --processes 2 --store demo/store --preset demo --stage diffusion \
	  --regression demo/regression --output demo/diffusion
	$(BIN)/corrstore sample --processes 2 --store demo/store --checkpoint demo/diffusion --members 4 \
	  --threads 1 --output demo/forecast
	$(BIN)/corrstore evaluate --truth demo/store --forecast demo/forecast --output demo/evaluation
	$(BIN)/corrstore build demo_forecast --output demo/forecast_input
	$(BIN)/corrstore sample --processes 2 --store demo/forecast_input --checkpoint demo/diffusion --members 2 \
	  --threads 1 --output demo/downscaled
	$(BIN)/corrstore build demo_cma_meso --output demo/cma_meso
	$(BIN)/corrstore evaluate --truth demo/store --forecast demo/downscaled --baseline cma_meso=demo/cma_meso \
	  --output demo/verdict

test: install
	$(MAKE) --jobs=2 lint tests

tests: install
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

test-slow: install
	$(BIN)/python -m pytest -m slow

test-chaos: install
	$(BIN)/python -m pytest -s -m 'slow or not slow' tests/chaos

test-oldest:
	$(MAKE) tests VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

picture: install
	$(BIN)/python docs/images/evaluation.py demo/evaluation/report.html docs/images/evaluation.png

bench: install
	$(BIN)/python -m benchmarks.build
	$(BIN)/python -m benchmarks.driver
	$(BIN)/python -m benchmarks.archives
	$(BIN)/python -m benchmarks.catalog
	$(BIN)/python -m benchmarks.loader
	$(BIN)/python -m benchmarks.checking
	$(BIN)/python -m benchmarks.forecasts
	$(BIN)/python -m benchmarks.evaluation

clean:
	rm -rf demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)*/*' -prune -exec rm -rf {} +
