#!/bin/sh
# The container's first process. As root, which `docker run` makes it, it gives the mounted folders
# (Docker makes those that are missing for root) to the service's own user, and becomes that one;
# as anybody else (--user, Kubernetes' runAsUser) it just becomes the service.
set -eu

user=10001

if [ "$(id -u)" -eq 0 ]; then
    for folder in "$(dirname "$CACHE_DIRECTORY")" "$CACHE_DIRECTORY"; do
        mkdir -p "$folder"
        if [ "$(stat -c %u "$folder")" -ne "$user" ]; then
            chown -R "$user:$user" "$folder"
        fi
    done
    exec setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs -- aimirror "$@"
fi
exec aimirror "$@"
