"""Write the embeddings of a config's test set as arrays, with the ids of its items.

  mmcma features configs/cma/cma_vit-b16_msrvtt.py best.pth --out features/
  mmcma features configs/zeroshot/zeroshot_vit-b16_msrvtt.py --out features/ --format safetensors
  mmcma features configs/cma/cma_vit-b16_msrvtt.py best.pth --out train/ --cfg-options \
test_dataloader.dataset.split=train-9k
  torchrun --nproc_per_node 2 tools/extract_features.py CONFIG best.pth --out features/ --launcher pytorch

The folder has visual (items x frames x width), frame_mask, text (captions x width), caption_item and features.json
with the ids and captions. Killed at any moment and started again, it goes on where it stopped.
"""
import argparse

from mmcma.cli.arguments import (
    add_config_options,
    add_launcher_arguments,
    check_can_be_folder,
    checked_config,
    items_bar,
    set_local_rank,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', nargs='?',
                        help='the trained weights, a .pth of tools/train.py; without them zero-shot')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the arrays')
    parser.add_argument('--format', choices=['npy', 'safetensors'], default='npy',
                        help='an .npy for each array, or all in one features.safetensors (default: npy)')
    add_config_options(parser)
    add_launcher_arguments(parser)


def run(args: argparse.Namespace) -> None:
    check_can_be_folder(args.out, '--out')
    cfg = checked_config(args)
    set_local_rank(args)
    from mmengine.dist import get_rank, init_dist, is_distributed

    from mmcma.apis.features import extract_features
    from mmcma.engine.distributed import start_processes, stop_processes
    start_processes(args.launcher, cfg.get('env_cfg', {}).get('dist_cfg'))
    if args.launcher != 'none' and not is_distributed():
        init_dist(args.launcher)  # on GPUs
    with items_bar('encoding') as show:
        main = get_rank() == 0
        written = extract_features(cfg, args.checkpoint, args.out, file_format=args.format,
                                   progress=lambda done, total: main and show(done, total, 0))
    if main:
        print(f'{args.out}: {"written" if written else "was complete, nothing to do"}')
    stop_processes()
