# `make help` lists the targets. Everything is installed into .venv, from the exact versions of requirements.lock.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-tools test-rpc validate-dicom check check-proto check-deploy check-alerts check-containers e2e-containers e2e-ohif e2e-pacs sbom chart rules-schema proto \
	release-proto serve load load-quick kill-studies train bench-science bench-science-quick training-pack train-gpu export reference dashboards dashboard-image trace lock triton clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TASK ?=
STUDY ?=
SEED ?=
OUT ?= out/demo
SHARE ?= 1
MINUTES ?= 9
DOCUMENTS ?= docs
PYTEST_ARGS ?=

ORTHANC := orthanc:Orthanc $(if $(wildcard /usr/share/orthanc/plugins/libOrthancDicomWeb.so),,orthanc-dicomweb:)
PROMETHEUS := prometheus:promtool prometheus-alertmanager:prometheus-alertmanager

VENV := .venv
BIN := $(VENV)/bin
TOOLS := .cache/tools
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 25

demo: $(VENV)/.gateway triton  ## segment a simulated study over HTTP; STUDY=path for one of yours, SEED=n, OUT=folder
	$(BIN)/python -m demo --out $(OUT) $(if $(STUDY),--study "$(STUDY)") $(if $(SEED),--seed $(SEED))

test: $(VENV)/.development triton test-tools  ## run every test, with a real Triton (PYTEST_ARGS to choose)
	$(if $(PYTEST_ARGS),$(BIN)/python -m pytest $(PYTEST_ARGS),deploy/scripts/test-parts)

test-tools:  ## install the programs that are not Python's and that tests run, where this is allowed
	@deploy/scripts/install-system-tools dicom3tools:dciodvfy dcmtk:dcmdump $(ORTHANC) $(PROMETHEUS)

validate-dicom: $(VENV)/.development  ## show the results of twenty studies to programs that are not ours
	@deploy/scripts/install-system-tools dicom3tools:dciodvfy default-jre-headless:java libpixelmed-java: plastimatch:plastimatch
	$(BIN)/python -m tests.validators

test-rpc: $(VENV)/.development triton  ## run the tests of the gRPC face alone
	$(BIN)/python -m pytest tests/integration/rpc tests/contract/test_proto.py tests/unit/service/api/test_rpc_problems.py $(PYTEST_ARGS)

check: $(VENV)/.development check-containers  ## lint, format, types, architecture, spelling, containers, licences
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(MAKE) --no-print-directory check-proto

chart: $(VENV)/.development  ## write what the Helm chart takes from elsewhere, and pack it into dist/
	$(BIN)/python -m deploy.helm.chart
	@deploy/scripts/install-kube-tools
	.cache/kube-tools/helm package --destination dist deploy/helm/entrust

check-deploy: $(VENV)/.development triton  ## lint, render and validate the Helm chart; run its command lines here
	@deploy/scripts/install-kube-tools
	@deploy/scripts/check-chart
	$(BIN)/python -m pytest tests/contract/chart tests/integration/chart $(PYTEST_ARGS)

check-containers: $(TOOLS)/.installed sbom  ## lint the Dockerfile, validate the compose files, judge the gateway's licences
	@deploy/scripts/install-system-tools podman:podman
	$(TOOLS)/bin/hadolint Dockerfile tests/containers/stand-ins.Dockerfile
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(TOOLS)/bin/podman-compose --file docker-compose.yml config >/dev/null
	$(TOOLS)/bin/podman-compose --file docker-compose.yml --file deploy/compose/host-network.yml config >/dev/null

e2e-pacs: $(VENV)/.development triton  ## results come back to Orthanc, and do so when it was away for a minute: by DIMSE and DICOMweb
	@deploy/scripts/install-system-tools dcmtk:storescu $(ORTHANC)
	$(BIN)/python -m deploy.orthanc
	$(BIN)/python -m loadtests.pacs_outage

e2e-ohif: $(VENV)/.viewers triton  ## look at a phantom's results in OHIF, from Orthanc and from the gateway (network, minutes)
	@deploy/scripts/install-system-tools dcmtk:storescu nginx-light:nginx chromium:chromium npm:npm $(ORTHANC)
	@deploy/scripts/install-ohif
	$(BIN)/python -m deploy.ohif

e2e-containers: $(VENV)/.development triton $(TOOLS)/.installed  ## build the images and run them for real (root, many minutes)
	@deploy/scripts/install-system-tools podman:podman buildah:buildah runc:runc debootstrap:debootstrap
	$(BIN)/python -m pytest tests/containers --timeout 3600 -s $(PYTEST_ARGS)

sbom: $(TOOLS)/.installed .cache/gateway/.installed  ## list the gateway's parts and licences in out/sbom/, fail on one not allowed
	@mkdir -p out/sbom
	$(TOOLS)/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --mc-type application \
		--output-file out/sbom/gateway.cdx.json .cache/gateway/bin/python
	$(TOOLS)/bin/pip-licenses --python .cache/gateway/bin/python --with-urls --format markdown --output-file out/sbom/licences.md
	$(TOOLS)/bin/pip-licenses --python .cache/gateway/bin/python --format json | $(BIN)/python deploy/containers/licences.py

load: $(VENV)/.development triton  ## load, overload and kill a service on this machine; a quarter of an hour; SHARE=0.3 of it, DOCUMENTS=folder
	@deploy/scripts/install-system-tools $(PROMETHEUS)
	$(BIN)/python -m loadtests --share $(SHARE) --documents $(DOCUMENTS)

load-quick: $(VENV)/.development triton  ## a minute of the same, into out/load; its numbers mean nothing
	@deploy/scripts/install-system-tools $(PROMETHEUS)
	$(BIN)/python -m loadtests --quick

kill-studies: $(VENV)/.development triton  ## kill a gateway 200 times over 50 studies, and count what is lost (half an hour)
	$(BIN)/python -m loadtests.study_kills

serve: $(VENV)/.gateway triton  ## run the gateway with an embedded Triton until Ctrl-C
	$(BIN)/python -m service serve

train: $(VENV)/.development  ## fit the weights of TASK again: oncology (hours; needs ../shared/data/oncology_sts), lesion, brain or cardiac
	$(if $(filter-out oncology,$(TASK)),\
	$(BIN)/python -m training.benchmark fit --domain $(TASK) --method entrust && \
	$(BIN)/python -m training.benchmark release --domain $(TASK),\
	$(BIN)/python -m training --task oncology)

bench-science: $(VENV)/.development  ## print the tables of ConflictWorld from kept scores, and write them into docs/
	$(BIN)/python -m training.benchmark report

bench-science-quick: $(VENV)/.development  ## fit, score, measure and tell a world of six cases; nothing is learned
	$(BIN)/python -m pytest -q tests/unit/training/benchmark

training-pack: $(VENV)/.development  ## pack the real patients for a machine without network, into out/training-pack.zip
	$(BIN)/python -m training.pack

train-gpu:  ## fit everything in pieces, with the torch, numpy, scipy and onnx that $(PYTHON) has; MINUTES=9 OUT=folder
	PYTHONPATH=out/training-pack.zip "$(PYTHON)" -m training.gpu --minutes $(MINUTES) --out $(if $(filter file,$(origin OUT)),out/gpu,$(OUT))

export: $(VENV)/.development  ## write model_repository/ from weights/, of all tasks or of TASK
	$(BIN)/python -m export $(if $(TASK),--task $(TASK))

rules-schema: $(VENV)/.gateway  ## write the JSON schema of selection rules from their code
	$(BIN)/python -m service.selection.schema > service/selection/rules.schema.json

conformance: $(VENV)/.gateway  ## write the tables of docs/conformance.md from the code
	$(BIN)/python -m service.conformance

proto: $(VENV)/.development  ## write the Python of proto/
	$(BIN)/buf format --write
	$(BIN)/python proto/generate.py

check-proto: $(VENV)/.development  ## style of proto/, and no change that breaks clients of the released one
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against proto/released.json

release-proto: check-proto  ## take proto/ as the promise that later changes are held against
	$(BIN)/buf build --output proto/released.json

reference: $(VENV)/.development triton  ## measure what calibration sets look like, of all tasks or of TASK (minutes; after new weights)
	$(BIN)/python -m demo.reference $(if $(TASK),--task $(TASK))

dashboards: $(VENV)/.development  ## write dashboards, alert rules and docs/metrics.md from their code
	$(BIN)/python -m deploy.grafana
	$(BIN)/python -m deploy.prometheus
	$(BIN)/python -m service.observability.reference > docs/metrics.md

check-alerts: $(VENV)/.development  ## check the alert rules, and test each with its text
	@deploy/scripts/install-system-tools $(PROMETHEUS)
	cd deploy/prometheus && promtool check config prometheus.yml && promtool test rules rules_test.yml rules_slow_test.yml

trace: $(VENV)/.development triton  ## trace one simulated study through gateway and Triton, and print it as a tree
	$(BIN)/python -m deploy.traces

dashboard-image: $(VENV)/.development triton  ## run a real service for some minutes and draw docs/images/dashboard.png
	@deploy/scripts/install-system-tools $(PROMETHEUS)
	$(BIN)/python -m deploy.grafana.look

lock: $(VENV)/.development  ## resolve requirements.lock anew from pyproject.toml
	$(BIN)/pip-compile --quiet --no-header --no-annotate --strip-extras --allow-unsafe \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--extra train --extra export --extra dev --extra load --extra viewers --output-file requirements.lock pyproject.toml
	sed -i -E 's/^([A-Za-z0-9._-]+==[^+]+)\+[^ ]+/\1/' requirements.lock  # a local build's suffix is nobody else's

clean:  ## remove everything that was installed or made here
	rm -rf $(VENV) .triton out

triton: $(VENV)/.gateway
	$(BIN)/python -m service.triton.install

$(BIN)/python:
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; PYTHON=/path/to/python3.11 names one." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || deploy/scripts/install-system-tools python3-venv:
	"$(PYTHON)" -m venv $(VENV)

$(VENV)/.gateway: $(BIN)/python pyproject.toml requirements.lock
	$(PIP) --editable .
	@touch $@

$(VENV)/.development: $(VENV)/.gateway
	$(PIP) --editable '.[train,export,dev,load]'
	@touch $@

$(VENV)/.viewers: $(VENV)/.development
	$(PIP) --editable '.[viewers]'
	@touch $@

$(TOOLS)/.installed: $(BIN)/python deploy/containers/tools.txt
	"$(PYTHON)" -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement deploy/containers/tools.txt
	@touch $@

.cache/gateway/.installed: $(BIN)/python pyproject.toml requirements.lock
	"$(PYTHON)" -m venv .cache/gateway
	.cache/gateway/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable .
	.cache/gateway/bin/python -m pip uninstall --quiet --yes pip setuptools
	@touch $@
