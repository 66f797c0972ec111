# Sourced by dist_train.sh and dist_test.sh: launch SCRIPT PROCESSES ARGUMENTS...
launch() {
    local script=$1 processes=$2
    shift 2
    [[ $processes =~ ^[1-9][0-9]*$ ]] || { echo "error: '$processes' is no number of processes" >&2; exit 2; }
    local tools python=${PYTHON:-python} nnodes=${NNODES:-1} port=${PORT:-}
    tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    if [ -z "$port" ]; then
        # Several machines must agree on a port; on one, any free port will do.
        if [ "$nnodes" -gt 1 ]; then port=29500; else
            port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
        fi
    fi
    # torchrun would give every process one thread, however many cores there are.
    local threads=$(($(nproc) / processes))
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}
    export MKL_NUM_THREADS=${MKL_NUM_THREADS:-$OMP_NUM_THREADS}
    export PYTHONPATH=$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}
    exec "$python" -m torch.distributed.run --nnodes="$nnodes" --node_rank="${NODE_RANK:-0}" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="$port" --nproc_per_node="$processes" \
        "$tools/$script" "$@" --launcher pytorch
}
