"""Index a folder of videos and pictures with a CLIP model, and search it.

  mmcma index videos/ --model tiny --out gallery/
  mmcma search gallery/ "a dog catches a frisbee" -k 5

mmcma COMMAND --help says what a command takes.
"""
import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Optional

from mmcma import __version__, commands
from mmcma.command_line import run_tool


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands in ``mmcma.commands``."""
    parser = argparse.ArgumentParser(prog='mmcma', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--version', action='version', version=f'mmcma {__version__}')
    choices = parser.add_subparsers(metavar='COMMAND', required=True)
    for name in [module.name for module in iter_modules(commands.__path__)]:
        command = import_module(f'mmcma.commands.{name}')
        own = choices.add_parser(name, help=command.__doc__.splitlines()[0].rstrip('.'), description=command.__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_arguments(own)
        own.set_defaults(run=command.run)
    return parser


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Runs one command."""
    args = make_parser().parse_args(argv)
    try:
        run_tool(lambda: args.run(args))
    except KeyboardInterrupt:
        sys.exit('interrupted')


if __name__ == '__main__':
    main()
