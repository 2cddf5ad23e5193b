# Python 3.10 to 3.13, and the build of torch that pip is asked for.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
DEMO := demo
SIZE ?= quick
DEMO_CONFIG := configs/mspn_synthetic.py

.PHONY: help install demo weights test matrix lint bench gpu wheels lock clean

help:
	@echo 'make demo   train MSPN on rendered people and look at its poses (minutes, no GPU needed)'
	@echo 'make test   run the tests'
	@echo 'make weights train the weights that come with the plugin again (hours)'
	@echo 'make matrix test on each Python that is here, and write the table of docs/install.md'
	@echo 'make bench  measure beside MMPose and write docs/benchmarks.md'
	@echo 'make gpu    test and measure on a GPU, and add it to docs/benchmarks.md'
	@echo 'make lint   ruff, mypy, and the directions in which packages may import'
	@echo 'make clean  remove .venv and demo'

install: $(INSTALLED)

# The stamp is newer than what it was made from, so a second run installs nothing. It names the
# Python, so that another one begins with an empty environment.
$(INSTALLED): requirements/lock.txt requirements/xtcocotools/*.* pyproject.toml setup.py
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements/lock.txt
	$(BIN)/python -m pip install -q $(TORCH)
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation ./requirements/xtcocotools -e .
	touch $@

$(DEMO)/data: | $(INSTALLED)
	$(BIN)/mspn synthetic --out $@ --train 1600 --val 200 --seed 0

# Interrupted, it goes on from the last checkpoint; finished, it evaluates and draws again.
demo: export COCO_ROOT = $(DEMO)/data
demo: $(INSTALLED) | $(DEMO)/data
	$(BIN)/mim train mmpose $(DEMO_CONFIG) --work-dir $(DEMO)/training --resume
	best=$$(ls -t $(DEMO)/training/best_coco_AP_epoch_*.pth | head -1) && \
	$(BIN)/mim test mmpose $(DEMO_CONFIG) --checkpoint $$best --work-dir $(DEMO)/test --out $(DEMO)/ap.json && \
	$(BIN)/mspn predict $(DEMO)/data/val2017/*0.jpg --config $(DEMO_CONFIG) --checkpoint $$best \
		--boxes $(DEMO)/data/annotations/person_keypoints_val2017.json \
		--out $(DEMO)/poses --show-stages --overwrite && \
	$(BIN)/python -c "import json, sys; [print(f'{k:14}{v:.3f}') for k, v in \
		json.load(open('$(DEMO)/ap.json')).items()]" && \
	echo 'Those are persons that the network never saw. Everything lies in $(DEMO)/:' && \
	echo "  poses and heatmaps  $(DEMO)/poses/" && \
	echo "  AP table            $(DEMO)/ap.json" && \
	echo "  weights             $$best" && \
	echo "  log                 $(DEMO)/training/"

# The weights that come with the plugin. DATA has coco/ and coco_more/, photographs in COCO's layout,
# and lspet_dataset.zip. Each training goes on from the last one's weights, the second runs twice, and
# the ends of the last two are averaged with what they went on from. Interrupted, it goes on from the
# last checkpoint: with --resume MMPose looks for nothing else to load.
DATA ?= data
LSPET_CONFIG := td-hm_2xmspn-small_1xb32-66e_lspet-160x160
MIX_CONFIG := td-hm_2xmspn-small_1xb32-46e_photographs-160x160
FURTHER := td-hm_2xmspn-small_1xb32-16e_photographs-160x160
WEIGHTS := td-hm_2xmspn-small_1xb32-17e_photographs-160x160

$(DATA)/lspet: | $(INSTALLED)
	$(BIN)/mspn convert lspet $(DATA)/lspet_dataset.zip --out $@

$(DATA)/rendered: | $(INSTALLED)
	$(BIN)/mspn synthetic --out $@ --train 3000 --val 1 --seed 1

# --resume where a folder of DATA holds a begun training, else the second argument.
resumed = $(if $(wildcard $(DATA)/$(1)/last_checkpoint),--resume,$(2))

weights: export DATA_ROOT = $(DATA)
weights: $(INSTALLED) | $(DATA)/lspet $(DATA)/rendered
	COCO_ROOT=$(DATA)/lspet $(BIN)/mim train mmpose configs/$(LSPET_CONFIG).py \
		--work-dir $(DATA)/small_lspet --resume
	$(BIN)/mim train mmpose configs/$(MIX_CONFIG).py --work-dir $(DATA)/small $(call resumed,small)
	$(BIN)/mim train mmpose configs/$(MIX_CONFIG).py --work-dir $(DATA)/small_again \
		--cfg-options optim_wrapper.optimizer.lr=1.5e-3 \
		$(call resumed,small_again,load_from=$$(cat $(DATA)/small/last_checkpoint))
	$(BIN)/mim train mmpose configs/$(FURTHER).py --work-dir $(DATA)/small_further $(call resumed,small_further)
	$(BIN)/python examples/average_weights.py configs/$(FURTHER).py $(DATA)/small.pth --overwrite \
		$$(cat $(DATA)/small_again/last_checkpoint) $$(cat $(DATA)/small_further/last_checkpoint)
	$(BIN)/mim train mmpose configs/$(WEIGHTS).py --work-dir $(DATA)/small_last $(call resumed,small_last)
	$(BIN)/python examples/average_weights.py configs/$(WEIGHTS).py $(DATA)/shipped.pth --overwrite \
		$(DATA)/small.pth $$(cat $(DATA)/small_last/last_checkpoint)
	$(BIN)/mspn convert half $(DATA)/shipped.pth mspn_plugin/weights/$(WEIGHTS).pth --overwrite

# Two processes with a thread each: with more, their threads wait for each other. After a crash xdist
# would wait for ever for what a new process is to run.
test: export OMP_NUM_THREADS = 1
test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0

# An interpreter that is not on the PATH or among pyenv's is skipped, and named at the end.
# ROWS='-s torch-2.13.0-mmengine-3.12' runs one row; .venv/bin/nox -l lists them.
matrix: $(INSTALLED)
	PATH="$$PATH:$$(echo $$HOME/.pyenv/versions/*/bin | tr ' ' ':')" \
		$(BIN)/nox --no-error-on-missing-interpreters $(ROWS)

# SIZE is quick, medium or full. Without mmpretrain one row says that it is missing.
bench: $(INSTALLED)
	-$(BIN)/python -m pip install -q --require-hashes --no-deps --upgrade \
		--target $(VENV)/bench -r requirements/bench.txt
	PYTHONPATH=$(VENV)/bench $(BIN)/python benchmarks/run_all.py --size $(SIZE)

# All that waits for a GPU. A machine that reaches no package index, but has torch and pytest, takes
# the folder of `make wheels`, which is for the same system and Python:
#   pip install --no-index --no-deps --target site wheels/*.whl
#   PYTHONPATH=site:. make gpu GPU_PYTHON=python3
GPU_PYTHON ?= $(BIN)/python

gpu: $(if $(filter $(BIN)/%,$(GPU_PYTHON)),$(INSTALLED))
	$(GPU_PYTHON) -m pytest -m cuda tests/model
	$(GPU_PYTHON) benchmarks/run_all.py --device cuda \
		--only gpu-training gpu-prediction codec supervision

wheels: $(INSTALLED)
	$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation -w wheels \
		-r requirements/pins.txt ./requirements/xtcocotools

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

# Pins for users, and with hashes and tools for `make`. Versions that still fit pyproject.toml stay
# unless UPGRADE=--upgrade. torch and what it brings for CUDA is left to pip; see docs/install.md.
CUDA := cuda-bindings cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 \
	nvidia-nvshmem-cu13 triton
COMPILE := uv pip compile -q --universal --python-version 3.10 --no-annotate \
	--custom-compile-command 'make lock' --excludes <(printf '%s\n' $(CUDA)) \
	--constraints <(echo '$(TORCH)') --no-emit-package torch --no-emit-package xtcocotools \
	--no-emit-package pip $(UPGRADE) pyproject.toml

lock: SHELL := bash
lock:
	$(COMPILE) -o requirements/pins.txt
	$(COMPILE) --group dev --generate-hashes --constraints requirements/pins.txt \
		-o requirements/lock.txt

clean:
	rm -rf $(VENV) $(DEMO)
