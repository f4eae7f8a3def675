#!/usr/bin/env bash
# The tests on every Python that rsn supports, and once on the lowest versions that pyproject.toml allows.
#
# Usage: scripts/test_matrix.sh [3.11 3.12 3.13 lowest]     # all of them by default
#
# Needs uv (https://docs.astral.sh/uv), which fetches the Pythons. TORCH chooses the newest PyTorch, options included.
# LOWEST_TORCH does so for the lowest versions, whose PyTorch is the lowest as well where it is not set: several GB from
# PyPI, or less with LOWEST_TORCH='--extra-index-url https://download.pytorch.org/whl/cpu'.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- 3.11 3.12 3.13 lowest
for name in "$@"; do
    environment=.venv-$name
    if [ "$name" = lowest ]; then
        uv venv --quiet --clear --python 3.11 "$environment"
        # shellcheck disable=SC2086  # options
        uv pip install --quiet --python "$environment" --resolution lowest-direct \
            ${LOWEST_TORCH:-} -e '.[dev]'
    else
        uv venv --quiet --clear --python "$name" "$environment"
        # shellcheck disable=SC2086  # options
        uv pip install --quiet --python "$environment" ${TORCH:-torch==2.13.0} -e '.[dev]'
    fi
    echo "== $name: $("$environment/bin/python" --version)"
    "$environment/bin/python" -m pytest -q
done
