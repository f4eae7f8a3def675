#!/usr/bin/env bash
# Build the wheel and the source distribution into dist/, check them, install the wheel into an empty environment, and
# run the demo from an empty folder. PYTHON and TORCH as in the Makefile.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet build twine
rm -rf dist
"$work/tools/bin/python" -m build --outdir dist . >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
"$work/tools/bin/twine" check --strict dist/*
du -h --apparent-size dist/*
# What docs/install.md lists, and nothing else.
if "${PYTHON:-python3}" -m zipfile --list dist/*.whl | awk 'NR > 1 {print $1}' |
    grep -vE '^rsn/([a-z_]+/)*([a-z_0-9]+\.py|py\.typed)$' |
    grep -vE '^rsn/(weights/[a-z0-9._]+\.(safetensors|json|csv)|serving/page/[a-z]+\.(html|css|js|svg)|[a-z]+/pages/[a-z]+\.html)$' |
    grep -vE '^rsn_pose-[0-9.]+\.dist-info/'; then
    echo "these files do not belong into the wheel; see docs/install.md" >&2
    exit 1
fi

"${PYTHON:-python3}" -m venv "$work/bare"
# shellcheck disable=SC2086  # TORCH may hold pip options
"$work/bare/bin/pip" install --quiet ${TORCH:-torch==2.13.0} "$(echo dist/*.whl)[demo]"
mkdir "$work/empty"
cd "$work/empty"
"$work/bare/bin/python" "$root/scripts/demo_images.py" images
"$work/bare/bin/rsn" predict images --flip --output out
test "$(grep -c '"file_name"' out/poses.json)" -eq 2 # people
test -s out/portraits_poses.jpg
"$work/bare/bin/rsn" doctor
