# syntax=docker/dockerfile:1
#
# docker build --target cpu -t rsn .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" rsn predict image.jpg
# docker build --target cuda -t rsn:cuda .
# docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/data" rsn:cuda predict image.jpg --device cuda
# The service, on this machine only:    docker run --rm -p 127.0.0.1:8000:8000 rsn serve --host 0.0.0.0
#
# One image per PyTorch build, because their sizes differ by gigabytes.

FROM python:3.13-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheels .

FROM python:3.13-slim AS base
# Downloaded weights and converted graphs go to /cache, which any user may write: mount a volume there to keep them.
ENV RSN_CACHE=/cache HF_HOME=/cache/huggingface PYTHONUNBUFFERED=1
RUN useradd --create-home rsn && mkdir /cache /data && chown rsn /data && chmod 1777 /cache
COPY --from=wheel /wheels /wheels

FROM base AS cuda
RUN pip install --no-cache-dir torch==2.13.0 "$(echo /wheels/*.whl)[onnx,openvino,detect,serve]"
USER rsn
WORKDIR /data
ENTRYPOINT ["rsn"]

FROM base AS cpu
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 \
    && pip install --no-cache-dir "$(echo /wheels/*.whl)[onnx,openvino,detect,serve]"
USER rsn
WORKDIR /data
ENTRYPOINT ["rsn"]
