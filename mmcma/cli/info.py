"""Say what an exported folder, a checkpoint or a config holds.

  mmcma info cma-msrvtt
  mmcma info work_dirs/cma_vit-b16_msrvtt/best.pth
  mmcma info configs/cma/cma_vit-b16_msrvtt.py

The pretrained model is not read, so that it need not be there.
"""
import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', metavar='MODEL', help="an exported folder, a checkpoint, a config file, or 'tiny'")


def run(args: argparse.Namespace) -> None:
    from mmcma.apis.describe import describe
    facts = describe(args.model)
    width = max(map(len, facts))
    for key, value in facts.items():
        # What a file says must not steer the terminal.
        shown = ''.join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))
        print(f'{key:<{width}}  {shown}')
