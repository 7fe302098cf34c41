#!/usr/bin/env bash
# `accelerate launch --cpu --num_processes 2` starts one process, says nothing and succeeds.
#
# Expected: two processes with ranks 0 and 1, or a refusal.
# Happens: on a CPU several processes are only started through MPI with a file of hosts. Without it the script runs once, with
#   no rank and no world size in its environment, no warning, and exit status 0. The option meant for several GPUs does
#   start two, on the same machine without any: the script then chooses the CPU itself (gloo).
# Shown: a script that prints its rank and the world's size, launched both ways.
# Matters here: an evaluation that is to be shared out among processes ran alone, and its results looked whole. So
#   sharing out is an option of our own evaluation, which starts its processes itself.
# Source: accelerate 1.15.0, accelerate/commands/launch.py (simple_launcher).
set -euo pipefail
ACCELERATE=1.15.0 TORCH=2.13.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "accelerate==$ACCELERATE" "torch==$TORCH" numpy
cat > "$folder/rank.py" <<'PYTHON'
import os

os.write(1, f"rank {os.environ.get('RANK')} of {os.environ.get('WORLD_SIZE')}\n".encode())
PYTHON
launch() {
    CUDA_VISIBLE_DEVICES="" HF_HOME="$folder" "$folder/venv/bin/accelerate" launch "$@" --num_processes 2 --num_machines 1 \
        --mixed_precision no --dynamo_backend no "$folder/rank.py" 2> "$folder/log" | sort
}
"$folder/venv/bin/pip" list 2> /dev/null | grep -E '^(accelerate|torch) ' | tr -s ' ' | paste -sd, -
cpu=$(launch --cpu)
echo "--cpu --num_processes 2:" $cpu "(warnings: $(grep -ciE 'warn|process' "$folder/log" || true))"
gpu=$(launch --multi_gpu)
echo "--multi_gpu --num_processes 2:" $gpu
if [ "$cpu" = "rank None of None" ] && [ "$gpu" = $'rank 0 of 2\nrank 1 of 2' ]; then echo "as described"; else
    echo "NOT as described any more"
    exit 1
fi
