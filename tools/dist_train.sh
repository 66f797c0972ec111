#!/usr/bin/env bash
# Trains with several processes on one or more machines: tools/dist_train.sh CONFIG PROCESSES [arguments of train.py]
# One process a GPU; on a machine without GPUs the processes share the CPU.
# Environment: PORT (a free one by default), NNODES, NODE_RANK, MASTER_ADDR, PYTHON, OMP_NUM_THREADS.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 CONFIG PROCESSES [arguments of train.py]" >&2; exit 2; }
CONFIG=$1
PROCESSES=$2
source "$(dirname "$0")/launch.sh"
launch train.py "$PROCESSES" "$CONFIG" "${@:3}"
