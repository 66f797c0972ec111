"""Our code beside the plain way and the released code, in one run on the same weights and data.

    python tools/analysis_tools/benchmark.py train --backbone vit-b16 --official Cross-Modal-Adapter
    python tools/analysis_tools/benchmark.py train --help

--official names a checkout of https://github.com/LeapLabTHU/Cross-Modal-Adapter; without it the ways are compared among
themselves. Before anything is timed, the ways must compute the same thing, to a tolerance that is printed. They take
turns, so that what else the machine does meets all of them; ratios are taken within each turn.
"""
import argparse
from importlib import import_module

from mmcma.cli.arguments import run_tool

#: Sub-command -> module of benchmarks/, which has ``add_arguments(parser)`` and ``run(args)``.
COMMANDS = {'train': 'train', 'memory': 'memory', 'gpu': 'gpu',
            'similarity': 'similarity', 'eval': 'evaluation', 'gallery': 'gallery', 'scaling': 'scaling'}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, module_name in COMMANDS.items():
        module = import_module(f'benchmarks.{module_name}')
        command = commands.add_parser(name, help=module.__doc__.splitlines()[0], description=module.__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args()
    args.run(args)


if __name__ == '__main__':
    run_tool(main)
