#!/usr/bin/env bash
# Tests with several processes: tools/dist_test.sh CONFIG [CHECKPOINT] PROCESSES [arguments of test.py]
# Without CHECKPOINT the pretrained model is tested as it is. Environment: as of dist_train.sh.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 CONFIG [CHECKPOINT] PROCESSES [arguments of test.py]" >&2; exit 2; }
CONFIG=$1
shift
CHECKPOINT=()
[[ $1 =~ ^[0-9]+$ ]] || { CHECKPOINT=("$1"); shift; }
source "$(dirname "$0")/launch.sh"
launch test.py "${1:-}" "$CONFIG" "${CHECKPOINT[@]}" "${@:2}"
