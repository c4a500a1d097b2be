#!/bin/sh
# start.sh shared|plain PROGRAM ARGUMENT…: start Triton on a clean ground.
#
# /dev/shm belongs to the pod and outlives a container that was killed: what a dead server left there would count
# against the pod's memory for ever. Tritons since 2026-04 refuse their clients' shared memory unless told otherwise,
# and older ones do not know the option.
set -eu
memory=$1
shift
rm -f /dev/shm/entrust_triton*
if [ "$memory" = shared ] && "$1" --help 2>&1 | grep -q -e --allow-client-shm; then
    set -- "$@" --allow-client-shm=true
fi
exec "$@"
