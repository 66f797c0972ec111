"""Adapt a CLIP model for retrieval, index folders of videos and images with it, and search them.

  mmcma train configs/cma/cma_tiny_glyphmotion.py
  mmcma index videos/ --model tiny --out gallery/
  mmcma search gallery/ "a dog catches a frisbee" -k 5

mmcma COMMAND --help says what a command takes.
"""
import argparse
from collections.abc import Sequence
from importlib import import_module

from mmcma import __version__
from mmcma.cli.arguments import add_trust_arguments, run_tool, trusting

COMMANDS = ('train', 'test', 'features', 'index', 'search', 'serve', 'export', 'info')


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog='mmcma', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--version', action='version', version=f'mmcma {__version__}')
    choices = parser.add_subparsers(metavar='COMMAND', required=True)
    for name in COMMANDS:
        help_line = _module(name).__doc__.splitlines()[0].rstrip('.')
        _fill(choices.add_parser(name, help=help_line), name)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command."""
    _run(make_parser().parse_args(argv))


def run_script(name: str) -> None:
    """Runs one command as the script of its own that ``tools/`` has for it."""
    _run(_fill(argparse.ArgumentParser(), name).parse_args())


def _module(name: str):
    return import_module(f'mmcma.cli.{name}')


def _fill(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    command = _module(name)
    parser.description, parser.formatter_class = command.__doc__, argparse.RawDescriptionHelpFormatter
    command.add_arguments(parser)
    add_trust_arguments(parser)
    parser.set_defaults(run=command.run)
    return parser


def _run(args: argparse.Namespace) -> None:
    def command() -> None:
        with trusting(args):
            args.run(args)
    run_tool(command)
