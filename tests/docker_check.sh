#!/usr/bin/env bash
# Builds the Dockerfile without a container engine, and inside the image trains and checks in a mounted folder that
# belongs to another user, with caches and FID weights on a volume.
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
mounted=$(mktemp -d)
trap 'buildah rm "$container" >/dev/null; rm -rf "$mounted"' EXIT
chmod 755 "$mounted"
mkdir "$mounted/runs" "$mounted/cache"
chown 1234:1234 "$mounted/runs" # who cloned; the caller of docker is root
chmod 1777 "$mounted/cache"     # as a volume is that is made from the image
volumes=(--volume "$mounted/runs:/runs" --volume "$mounted/cache:/cache")

fail() {
  echo "docker-check: $1" >&2
  exit 1
}
linnet() { # [--env=NAME=VALUE ...] flags of main.py
  local options=()
  while [[ ${1:-} == --env=* ]]; do options+=("$1"); shift; done
  buildah run "${volumes[@]}" "${options[@]}" "$container" -- /linnet/docker/entrypoint.sh "$@"
}

digits=(--config=configs/cld/digits.py --workdir=runs/digits)
linnet "${digits[@]}" --mode=train --config.training.n_iters=5 --config.training.snapshot_sampling=False
linnet "${digits[@]}" --mode=check --config.eval.num_samples=32 --config.eval.batch_size=32 --result_folder=/runs/samples
[ -f "$mounted/runs/samples/report.json" ] || fail "no report in the mounted folder"
[ -z "$(find "$mounted/runs" ! -uid 1234)" ] || fail "files in the mounted folder do not belong to its owner"
[ -n "$(ls -A "$mounted/cache/linnet/compiled")" ] || fail "compiled programs are not on the volume"

# The weights of FID are looked for on the volume; their file from DOCKER_CHECK_INCEPTION, else downloaded or asked for.
weights=linnet/pt_inception-2015-12-05-6726825d.pth
[ -z "${DOCKER_CHECK_INCEPTION:-}" ] || install -m 644 "$DOCKER_CHECK_INCEPTION" "$mounted/cache/$weights"
fid=("${digits[@]}" --mode=fid --config.eval.extractor=inception --result_folder=/runs/samples)
if said=$(linnet "${fid[@]}" --config.eval.held_out=False 2>&1); then
  [ -f "$mounted/cache/$weights" ] || fail "the weights of FID are not on the volume"
else
  [[ $said == *"place the file at /cache/$weights"* ]] || fail "FID: $said"
  [ -z "${DOCKER_CHECK_INCEPTION:-}" ] || fail "FID: $said"
fi

if linnet --env=JAX_PLATFORMS=cuda "${digits[@]}" --mode=check; then
  fail "asked for CUDA without a GPU, and the program did not fail"
fi
echo "docker-check: passed"
