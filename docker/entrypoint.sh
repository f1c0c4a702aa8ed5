#!/bin/sh
# main.py as the owner of the mounted /runs, so that what it writes belongs to whoever made that folder.
#
# Where root owns it (no mount, or a rootless engine, whose root is the caller) and with --user, nothing is changed.
set -eu
owner=$(stat -c %u /runs)
if [ "$(id -u)" = 0 ] && [ "$owner" != 0 ]; then
  exec setpriv --reuid="$owner" --regid="$(stat -c %g /runs)" --clear-groups /venv/bin/python /linnet/main.py "$@"
fi
exec /venv/bin/python /linnet/main.py "$@"
