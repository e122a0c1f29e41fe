PYTHON ?= python3
BIN := .venv/bin
TESTS := -m pytest -n auto --dist loadgroup --no-loadscope-reorder
# Those of tests/gpu that say whether it still runs, beside what is made for the simulator.
SIMULATED := tests/simulated $(foreach of,sgdm-float32 adabound_paper-float64 sm3-float32,'tests/gpu/test_same_as_cpu.py::test_every_step[$(of)]')

.PHONY: demo test check bench performance gpu verification machine-code same-bits explain pictures compare tutorial docs clean

demo: .venv/installed            ## build every optimizer, then train on handwritten digits with two of them
	$(BIN)/optgen build
	$(BIN)/python examples/digits.py

test: .venv/installed            ## the whole test suite; comparisons with torch run where torch is installed
	$(BIN)/python $(TESTS) $(OPTIONS)
	NUMBA_ENABLE_CUDASIM=1 $(BIN)/python $(TESTS) $(SIMULATED)

check: .venv/installed           ## what CI checks beside the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/optgen build --check

bench: .venv/installed           ## AdamW, and AdamW with clipping and an average, against memory and, where installed, others
	$(BIN)/optgen bench adamw ema_clip_global_norm_adamw --shapes 2^24,1000x4096,2^17

performance: .venv/installed     ## time every rule and what others have, and write docs/performance.md and the README's figures
	$(BIN)/optgen bench $(PACE) --json .performance.json --pictures docs/performance
	$(BIN)/python docs/write_performance.py < .performance.json
	rm .performance.json

gpu:                             ## where there is a GPU, with nothing to install: its tests, a memory checker, the benchmark, docs/gpu.md
	PYTHON='$(PYTHON)' .ci/gpu

verification: .venv/installed    ## prove, test and measure every module, break each on purpose (a sample), and write docs/verification.md and the certificates
	$(BIN)/optgen verify --mutate --sample --json > .verification.json
	$(BIN)/python docs/write_verification.py < .verification.json > docs/verification.md
	$(BIN)/python docs/write_verification.py certificates < .verification.json > generated/certificates.json
	rm .verification.json
	$(MAKE) explain # which shows what the certificates say

machine-code: .venv/installed    ## compile every kernel for GPUs, none needed, and write docs/machine-code.md
	$(BIN)/python docs/write_machine_code.py > .machine-code.md
	mv .machine-code.md docs/machine-code.md

same-bits: .venv/installed       ## say of every rule what may differ between machines, and write docs/same-bits.md
	$(BIN)/python docs/write_same_bits.py > .same-bits.md
	mv .same-bits.md docs/same-bits.md

explain: .venv/installed         ## write docs/explain.md, what `optgen explain` prints
	$(BIN)/python docs/write_explain.py > .explain.md
	mv .explain.md docs/explain.md

pictures: .venv/installed        ## draw the pictures of docs/plot.md and of the README
	$(BIN)/python docs/write_picture.py docs/pictures/optgen.svg
	$(BIN)/optgen plot paths sgd sgdm nag rmsprop adam lion --out docs/pictures/paths.png
	$(BIN)/optgen plot paths sgd sgdm adam --surface ravine --out docs/pictures/ravine.gif
	$(BIN)/optgen plot heat adam --surface himmelblau --steps 100 --out docs/pictures/heat.png
	$(BIN)/optgen plot schedules linear_decay cosine_decay one_cycle noam sgdr --set period=1000 --set growth=2 \
		--out docs/pictures/schedules.png
	$(BIN)/optgen plot rectification --out docs/pictures/rectification.png
	$(BIN)/optgen plot bounds --out docs/pictures/bounds.png
	$(BIN)/optgen plot memory --out docs/pictures/memory.png

compare: .venv/installed         ## train with every optimizer, see which claims of lectures hold, and write docs/comparison.md
	$(BIN)/python examples/compare.py --out docs

tutorial: .venv/installed        ## run docs/tutorial.ipynb and keep what its cells show
	$(BIN)/python docs/website/notebook.py docs/tutorial.ipynb

docs: .venv/documented           ## the documentation as a site, in build/site/html: pages, a gallery from the specs, the reference
	$(BIN)/python docs/write_site.py build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --config-file build/site/mkdocs.yml

clean:                           ## forget compiled kernels and everything else that can be made again
	rm -rf .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,examples,cuda]'
	touch $@

.venv/documented: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@
