#!/usr/bin/env bash
# Build the wheel and the source distribution into dist/ and check them. Install the wheel into an empty environment,
# check what it says about missing extras, run the demo from an empty folder, and compare the keypoints with those of
# older libraries. PYTHON and TORCH as in the Makefile.
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

wheel=$(echo "$root"/dist/*.whl)
"${PYTHON:-python3}" -m venv "$work/bare"
pip=("$work/bare/bin/pip" install --quiet)
# shellcheck disable=SC2086  # TORCH may hold pip options
"${pip[@]}" ${TORCH:-torch==2.13.0} "$wheel"
mkdir "$work/empty"
cd "$work/empty"
"$work/bare/bin/python" "$root/scripts/check_extras.py"

"${pip[@]}" "$wheel[demo]"
"$work/bare/bin/python" "$root/scripts/demo_images.py" images
"$work/bare/bin/rsn" predict images --flip --output out
test "$(grep -c '"file_name"' out/poses.json)" -eq 2 # people
test -s out/portraits_poses.jpg
"$work/bare/bin/rsn" doctor

# The wheel in an environment with older libraries: it leaves them as they are, and the keypoints are the same.
older="numpy==1.26.4 opencv-python-headless==4.10.0.84 pillow==10.4.0"
if ! "$work/bare/bin/python" -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then
    echo "older libraries: skipped, numpy 1.26 has wheels up to Python 3.12"
    exit
fi
"$work/bare/bin/pip" uninstall --quiet --yes rsn-pose scikit-image matplotlib scipy contourpy tifffile
# shellcheck disable=SC2086  # several packages
"${pip[@]}" $older
"${pip[@]}" "$wheel"
installed=$("$work/bare/bin/pip" freeze)
for requirement in $older; do grep --fixed-strings --line-regexp "$requirement" <<<"$installed"; done
"$work/bare/bin/rsn" predict images --flip --output out-older
"$work/bare/bin/python" "$root/scripts/compare_poses.py" out/poses.json out-older/poses.json
