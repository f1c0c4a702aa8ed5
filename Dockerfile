# Linnet in a container.
#
#   docker build -t linnet .                                          CPU
#   docker build -t linnet --build-arg ACCELERATOR=cuda .             NVIDIA GPUs (run with --gpus all)
#   docker run --rm -v "$PWD/runs:/runs" linnet --config=configs/cld/digits.py --mode=train --workdir=/runs/digits
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
RUN useradd --create-home --uid 1000 linnet && mkdir -p /runs && chown linnet /runs
USER linnet

# With JAX_PLATFORMS=cuda JAX refuses to start where it sees no GPU, instead of falling back to the CPU.
ENV JAX_PLATFORMS=${ACCELERATOR}
ENTRYPOINT ["/venv/bin/python", "main.py"]
CMD ["--help"]
