# Linnet in a container.
#
#   docker build -t linnet .                                          CPU
#   docker build -t linnet --build-arg ACCELERATOR=cuda .             NVIDIA GPUs (run with --gpus all --shm-size=8g)
#   docker run --rm -v "$PWD/runs:/runs" -v linnet:/cache linnet \
#     --config=configs/cld/digits.py --mode=train --workdir=/runs/digits
#
# /runs is for what runs write, and who owns it owns what is written (docker/entrypoint.sh). /cache keeps compiled
# programs and published weights from run to run.
#
# BASE may be any Debian-like image with Python 3.11 or newer; no CUDA base image is needed, the wheels bring CUDA.
ARG BASE=docker.io/library/python:3.12-slim
FROM ${BASE}

ARG ACCELERATOR=cpu
# An index or other options for pip, for networks that need them.
ARG PIP_ARGUMENTS=""
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /linnet
COPY requirements-runtime.lock pyproject.toml ./
RUN python3 -m venv /venv \
 && /venv/bin/pip install ${PIP_ARGUMENTS} -r requirements-runtime.lock \
 && if [ "${ACCELERATOR}" = cuda ]; then \
      /venv/bin/pip install ${PIP_ARGUMENTS} "jax[cuda13]==$(/venv/bin/python -c 'import jax; print(jax.__version__)')"; \
    fi
COPY . .
# Any user may write there; an empty volume takes the permissions over. ./runs of the README's commands is /runs.
RUN mkdir -p /runs /cache && chmod 1777 /runs /cache && ln -s /runs runs
VOLUME /cache

# With JAX_PLATFORMS=cuda JAX refuses to start where it sees no GPU, instead of falling back to the CPU.
ENV JAX_PLATFORMS=${ACCELERATOR} HOME=/cache XDG_CACHE_HOME=/cache USER=linnet
ENTRYPOINT ["/linnet/docker/entrypoint.sh"]
CMD ["--help"]
