#!/usr/bin/env bash
# Builds the Dockerfile without a container engine and runs a training step and --mode=check inside the image.
#
# Needs root, buildah and debootstrap (Debian packages). The base is made by debootstrap and passed as build argument;
# the host's certificates and PIP_* variables are shown to the build, for networks with their own authority.
set -euo pipefail
cd "$(dirname "$0")/.."
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
work=${DOCKER_CHECK_DIR:-$(mktemp -d)}
image=localhost/linnet-check

if ! buildah inspect localhost/linnet-base >/dev/null 2>&1; then
  [ -d "$work/base/usr" ] || debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base"
  base=$(buildah from scratch)
  buildah add --quiet "$base" "$work/base" / >/dev/null
  buildah commit --quiet "$base" localhost/linnet-base >/dev/null
  buildah rm "$base" >/dev/null
fi

shown=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
for name in PIP_CERT SSL_CERT_FILE; do
  [ -z "${!name:-}" ] || shown+=(--env "$name=${!name}")
done
buildah build --quiet "${shown[@]}" --build-arg BASE=localhost/linnet-base --build-arg PIP_ARGUMENTS="${PIP_ARGUMENTS:-}" --tag "$image" .

container=$(buildah from "$image")
trap 'buildah rm "$container" >/dev/null' EXIT
linnet=(buildah run "$container" -- /venv/bin/python main.py --config=configs/cld/digits.py --workdir=/runs/digits)
"${linnet[@]}" --mode=train --config.training.n_iters=5 --config.training.snapshot_sampling=False
"${linnet[@]}" --mode=check --config.eval.num_samples=32 --config.eval.batch_size=32
if buildah run --env JAX_PLATFORMS=cuda "$container" -- /venv/bin/python main.py --config=configs/cld/digits.py --mode=check --workdir=/runs/digits; then
  echo "docker-check: asked for CUDA without a GPU, and the program did not fail" >&2
  exit 1
fi
echo "docker-check: passed"
