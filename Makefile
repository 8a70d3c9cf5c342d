# Every target makes its own virtual environment in .venv when there is none.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WORKERS ?= 2
SOURCES := $(shell find cpp cuda CMakeLists.txt pyproject.toml -type f 2>/dev/null)

.PHONY: demo test check-long bench cuda aarch64 instructions wheels lint format docs clean

$(VENV)/created:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c ci/constraints.txt cmake ninja "scikit-build-core>=0.11" "pybind11>=2.13" "nlohmann-json>=3.11" \
	  "setuptools>=70.1"  # of what comes as source, since isolation is off below
	touch $@

# The build folder is kept, so that after a change only what changed is compiled again.
$(VENV)/installed: $(VENV)/created $(SOURCES)
	$(PIP) install -q -c ci/constraints.txt --no-build-isolation -e ".[all,test]"
	touch $@

$(VENV)/lint: ci/lint-requirements.txt $(VENV)/installed
	$(PIP) install -q -c ci/constraints.txt -r ci/lint-requirements.txt
	touch $@

$(VENV)/docs: pyproject.toml $(VENV)/installed
	$(PIP) install -q -c ci/constraints.txt --no-build-isolation -e ".[docs]"
	touch $@

# Tests that compare with another code skip, with a reason, where it cannot be installed.
$(VENV)/peers: ci/peers-requirements.txt $(VENV)/installed
	grep -v '^#' $< | while read -r peer; do \
	  $(PIP) install -q -c ci/constraints.txt "$$peer" || echo "$$peer cannot be installed here: its tests will skip"; \
	done
	touch $@

demo: $(VENV)/installed
	$(BIN)/atomcore demo --output demo

test: $(VENV)/peers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not long and not gpu"

check-long: $(VENV)/peers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long

bench: $(VENV)/peers
	$(BIN)/python bench/run.py

# The CUDA code and the test of the formulas on a device, which is compiled everywhere and run where a device is.
cuda: $(VENV)/created
	PATH="$(abspath $(BIN)):$$PATH" cmake -S . -B build/cuda -G Ninja -DATOMCORE_CUDA=ON -DATOMCORE_TESTS=ON \
	  -DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_FLAGS="-Werror all-warnings -Xcompiler=-Wall,-Wextra" \
	  -DPython_EXECUTABLE="$(abspath $(BIN))/python" -Dpybind11_DIR="$$($(BIN)/python -m pybind11 --cmakedir)"
	$(BIN)/cmake --build build/cuda --target _cuda test_cuda_math
	$(BIN)/ctest --test-dir build/cuda -R test_cuda_math --no-tests=error --verbose

# The C++ tests for 64-bit ARM, cross-compiled and run under an emulator of the processor.
aarch64: $(VENV)/created
	@for tool in aarch64-linux-gnu-g++:g++-aarch64-linux-gnu qemu-aarch64:qemu-user; do \
	  command -v "$${tool%%:*}" > /dev/null || { echo "$${tool%%:*} is missing; on Debian: apt-get install $${tool##*:}"; exit 1; }; \
	done
	PATH="$(abspath $(BIN)):$$PATH" cmake -S . -B build/aarch64 -G Ninja -DCMAKE_TOOLCHAIN_FILE=ci/aarch64.cmake \
	  -DATOMCORE_TESTS=ON -DATOMCORE_PYTHON=OFF -DATOMCORE_CUDA=OFF -DCMAKE_BUILD_TYPE=Release \
	  -DPython_EXECUTABLE="$(abspath $(BIN))/python"
	$(BIN)/cmake --build build/aarch64
	$(BIN)/ctest --test-dir build/aarch64 --no-tests=error --output-on-failure

# Instructions that the hot kernels execute, counted by valgrind; --update keeps them for tests/test_instructions.py.
instructions: $(VENV)/created
	$(BIN)/python bench/instructions/count.py

wheels:
	$(PYTHON) ci/build_wheels.py

lint: $(VENV)/lint
	PATH="$(abspath $(BIN)):$$PATH" pre-commit run --all-files

format: $(VENV)/lint
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	git ls-files '*.cpp' '*.hpp' '*.cu' | xargs $(BIN)/clang-format -i

# The examples are run; warnings are errors.
docs: $(VENV)/docs
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

clean:
	rm -rf build dist demo docs/_build .pytest_cache .mypy_cache .ruff_cache
