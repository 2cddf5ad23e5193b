# Python 3.11; set PYTHON to name another one.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DEMO := demo
SIZE ?= quick
DEMO_CONFIG := configs/mspn_synthetic.py

.PHONY: help install demo test lint bench clean

help:
	@echo 'make demo   train MSPN on rendered people and look at its poses (minutes, no GPU needed)'
	@echo 'make test   run the tests'
	@echo 'make bench  measure beside MMPose and write docs/benchmarks.md'
	@echo 'make lint   ruff, mypy, and the directions in which packages may import'
	@echo 'make clean  remove .venv and demo'

install: $(INSTALLED)

# The stamp is newer than what it was made from, so a second run installs nothing.
$(INSTALLED): requirements/lock.txt requirements/source.txt requirements/torch.txt setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements/lock.txt
	$(BIN)/python -m pip install -q -r requirements/torch.txt
	$(BIN)/python -m pip install -q --require-hashes --no-deps --no-build-isolation \
		--no-binary xtcocotools -r requirements/source.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
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

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2

# SIZE is quick, medium or full. Without mmpretrain one row says that it is missing.
bench: $(INSTALLED)
	-$(BIN)/python -m pip install -q --require-hashes --no-deps --upgrade \
		--target $(VENV)/bench -r requirements/bench.txt
	PYTHONPATH=$(VENV)/bench $(BIN)/python benchmarks/run_all.py --size $(SIZE)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

clean:
	rm -rf $(VENV) $(DEMO)
