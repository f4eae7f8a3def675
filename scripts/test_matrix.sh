#!/usr/bin/env bash
# Run the tests on every supported Python, and on the lowest versions of all libraries that pyproject.toml allows.
#
# Usage: scripts/test_matrix.sh [3.11 3.12 3.13 3.14 lowest] [-- PYTEST OPTIONS]     # all of them by default
#
# A Python that is not installed is skipped. TORCH and PYTHON as in the Makefile; PYTHON runs the lowest versions. The
# version of PyTorch is that of TORCH; for the lowest one:
# make lowest TORCH='torch==2.7.0 --index-url https://download.pytorch.org/whl/cpu'.
set -euo pipefail
cd "$(dirname "$0")/.."

names=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do names+=("$1"); shift; done
shift || true
[ ${#names[@]} -gt 0 ] || names=(3.11 3.12 3.13 3.14 lowest)

for name in "${names[@]}"; do
    environment=.venv-$name
    bin=$environment/bin
    python=python$name
    [ "$name" != lowest ] || python=${PYTHON:-python3}
    if ! "$python" --version >/dev/null 2>&1; then
        echo "== $name: skipped, there is no $python"
        continue
    fi
    "$python" -m venv --clear "$environment"
    # shellcheck disable=SC2086  # options
    "$bin/pip" install --quiet ${TORCH:-torch==2.13.0}
    if [ "$name" = lowest ]; then
        # pip cannot resolve to the lowest versions, uv can. It keeps the installed PyTorch.
        "$bin/pip" install --quiet uv
        torch=$("$bin/python" -c 'import torch; print(torch.__version__.split("+")[0])')
        # PyTorch has installed the newest versions of the three packages that are named. The override leaves out
        # opencv-python, which supervision needs: it would install a newer cv2 over that of opencv-python-headless.
        "$bin/uv" pip install --quiet --python "$bin/python" --resolution lowest-direct "torch==$torch" -e '.[dev]' \
            --upgrade-package filelock --upgrade-package fsspec --upgrade-package jinja2 \
            --override <(echo "opencv-python; sys_platform == 'none'")
    else
        "$bin/pip" install --quiet -e '.[dev]'
    fi
    echo "== $name: $("$bin/python" --version), $("$bin/python" -c 'import numpy; print("numpy", numpy.__version__)')"
    "$bin/python" -m pytest -q "$@"
done
