#!/usr/bin/env bash
# Trains the rows of the paper's tables and prints them beside the paper's figures.
#
#     bash tools/reproduce_paper.sh TABLE GPUS [KEY=VALUE ...]
#
# TABLE: text-video (DiDeMo), text-image-flickr30k, text-image-coco, own-settings, or all. Needed: the data sets laid out as in
# docs/data.md, and CLIP's weights, which are downloaded from the Hugging Face Hub. Without a network name a local copy:
#
#     bash tools/reproduce_paper.sh text-video 4 model.vision_backbone.pretrained=DIR model.text_backbone.pretrained=DIR
#
# A run that was stopped goes on where it was; one that is finished is not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ $# -ge 2 && $2 =~ ^[1-9][0-9]*$ ]] || { echo "usage: $0 TABLE GPUS [KEY=VALUE ...]" >&2; exit 2; }
table=$1
gpus=$2
shift 2

configs=$(python tools/analysis_tools/paper_tables.py --configs "$table")
for config in $configs; do
    if [ -f "work_dirs/$(basename "$config" .py)/report.json" ]; then
        echo "$config: done already"
        continue
    fi
    # The paper's batch is 128 over all GPUs; batch_size is that of one process.
    bash tools/dist_train.sh "$config" "$gpus" --resume --cfg-options train_dataloader.batch_size=$((128 / gpus)) "$@"
done
python tools/analysis_tools/paper_tables.py
