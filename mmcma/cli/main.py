"""Adapt a CLIP model for retrieval, index folders of videos and images with it, and search them.

  mmcma train configs/cma/cma_tiny_glyphmotion.py
  mmcma index videos/ --model openai/clip-vit-base-patch32 --out gallery/
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
    _run(_parsed(make_parser(), argv))


def run_script(name: str) -> None:
    """Runs one command as the script of its own that ``tools/`` has for it."""
    _run(_parsed(_fill(argparse.ArgumentParser(), name), None))


def _parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Arguments in any order: argparse leaves over what may be absent (``last``) where it stands behind an option."""
    args, left = parser.parse_known_args(argv)
    last = getattr(args, 'last', None)
    late = left[:-1] == ['--'] or len(left) == 1 and not left[0].startswith('-')
    if late and last is not None and getattr(args, last) is None:
        setattr(args, last, left[-1])
        left = []
    if left:
        parser.error(f'unrecognized arguments: {" ".join(left)}')
    return args


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
