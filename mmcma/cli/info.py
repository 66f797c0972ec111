"""Say what an exported folder, a checkpoint or a config holds; alone, what is installed here.

  mmcma info
  mmcma info cma-msrvtt
  mmcma info work_dirs/cma_vit-b16_msrvtt/best.pth
  mmcma info cma_vit-b16_msrvtt

The pretrained model is not read, so that it need not be there. Without MODEL: versions, devices, and what the package
and its optional parts lack.
"""
import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', metavar='MODEL', nargs='?', help='an exported folder, a checkpoint, a config '
                        "(its file, or its name if it is the package's), or 'tiny'")


def run(args: argparse.Namespace) -> None:
    if args.model is None:
        from mmcma.apis.installation import describe_installation
        facts = describe_installation()
    else:
        from mmcma.apis.describe import describe
        facts = describe(args.model)
    width = max(map(len, facts))
    for key, value in facts.items():
        # What a file says must not steer the terminal.
        shown = ''.join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))
        print(f'{key:<{width}}  {shown}')
