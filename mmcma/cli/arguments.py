"""What tools/*.py share. Imports nothing heavy, so that ``--help`` answers at once."""
import argparse
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from mmcma.utils.errors import ConfigError, UserError, cause, one_short_line, short


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every tool that runs a config."""
    parser.add_argument('--work-dir', help='for logs and results (default: work_dirs/<name of the config>)')
    add_config_options(parser)
    add_launcher_arguments(parser)
    parser.add_argument('--seed', type=int, help='of all random generators (default: the one of the config)')
    parser.add_argument('--no-pin-memory', action='store_true',
                        help='data loaders use no pinned memory, where the config says that they do')


def add_launcher_arguments(parser: argparse.ArgumentParser) -> None:
    """``--launcher``, and what launchers pass."""
    parser.set_defaults(instead_of_options={'launcher': '--launcher'})
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='who started the processes (default: none, one process)')
    # torch.distributed.launch passes it as an argument, torchrun as an environment variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """``--cfg-options``."""
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='replace values of the config, as in train_cfg.max_epochs=1 data_root=/msrvtt')


def add_trust_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every command of ``mmcma``: whose code may run."""
    parser.add_argument('--import', dest='imports', action='append', default=[], metavar='MODULE',
                        help='import this module first, where your own parts are; may be given again')
    parser.add_argument('--trust-checkpoint', action='store_true',
                        help='read old checkpoints whatever they hold; a stranger\'s can run any code')


@contextmanager
def trusting(args: argparse.Namespace) -> Iterator[None]:
    """A context with what :func:`add_trust_arguments` asked for: modules imported, checkpoints trusted.

    Raises:
        ConfigError: A module cannot be imported.
    """
    for module in args.imports:
        try:
            import_module(module)
        except Exception as error:  # it is the user's code
            raise ConfigError(f'--import {module}: {cause(error)}; PYTHONPATH says where modules are looked '
                              'for.') from error
    if not args.trust_checkpoint:
        yield
        return
    from mmcma.utils.plain_loading import trusted_checkpoints
    with trusted_checkpoints():
        yield


def add_gallery_model_arguments(parser: argparse.ArgumentParser) -> None:
    """``--model``, ``--checkpoint`` and ``--device`` of commands that open a gallery."""
    parser.add_argument('--model', help='the model that made the gallery, where it has moved or is a config or a '
                        'checkpoint (default: the one that the gallery names)')
    parser.add_argument('--checkpoint', metavar='FILE', help='the trained weights of that model, where they have '
                        'moved (default: those that the gallery names)')
    parser.add_argument('--device', help='where the model works, as in cuda (default: a GPU if there is one)')


def add_worker_arguments(parser: argparse.ArgumentParser, timeout: float) -> None:
    """Arguments of tools whose processes read items, each for ``timeout`` seconds at most by default."""
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes (default: one a core)')
    parser.add_argument('--timeout', type=float, default=timeout, metavar='SECONDS',
                        help=f'an item that takes longer has failed (default: {timeout:g})')


@contextmanager
def items_bar(label: str) -> Iterator[Callable[[int, int, int], None]]:
    """A progress bar on stderr with the rate and the time left; call it with items done, of how many, and failed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn('{task.fields[rate]}'),
               TimeRemainingColumn(), TextColumn('{task.fields[failed]} failed'))
    progress = Progress(*columns, console=Console(stderr=True))
    bar = progress.add_task('', total=None, rate='', failed=0)
    with ExitStack() as shown:
        def show(done: int, total: int, failed: int) -> None:
            if not progress.live.is_started:  # only now, so that none stands above an error of before
                shown.enter_context(progress)
            progress.update(bar, completed=done, total=total, failed=failed)
            speed = progress.tasks[bar].speed  # None until there are two points to measure between
            progress.update(bar, rate='' if speed is None else f'{speed:.1f} items/s')
        yield show


def check_at_least(args: argparse.Namespace, **least: float) -> None:
    """Refuses an argument below its least value; one that was not given is None.

    Raises:
        ConfigError: It is below, or NaN.
    """
    for name, value in least.items():
        given = getattr(args, name)
        if given is not None and not given >= value:
            flag = f'-{name}' if len(name) == 1 else f'--{name.replace("_", "-")}'
            raise ConfigError(f'{flag} {given} must be at least {value}')


def check_can_be_written(path: str | Path | None, flag: str) -> None:
    """Refuses a file that could not be written in the end, now; None is no file.

    Raises:
        ConfigError: It is a folder, its folder is not there, or it may not be written.
    """
    if path is None:
        return
    folder = os.path.dirname(os.path.abspath(os.path.expanduser(path)))
    if os.path.isdir(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        fault = 'is a folder' if os.path.isdir(path) else f'cannot be written: {folder} is no folder to write to'
        raise ConfigError(f'{flag} {path} {fault}')


def check_can_grow(path: Path | None, flag: str) -> None:
    """Refuses a JSON file to which figures could not be added in the end, now; None is no file.

    Raises:
        ConfigError: It cannot be written, or holds something else.
    """
    check_can_be_written(path, flag)
    if path is not None and path.exists():
        try:
            json.loads(path.read_text(encoding='utf-8'))
        except ValueError as error:
            raise ConfigError(f'{flag} {path} holds no JSON to add to ({cause(error)})') from error


def check_can_be_folder(path: str | Path | None, flag: str) -> None:
    """Refuses a folder that could not be made in the end, now; None is no folder.

    Raises:
        ConfigError: There is a file in its place, or in that of a folder above it.
    """
    if path is None:
        return
    place = Path(path).expanduser().absolute()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    if not there.is_dir():
        raise ConfigError(f'{flag} {path} can be no folder: {there} is a file')


def checked_config(args: argparse.Namespace):
    """The config of ``args.config`` with ``args.cfg_options``.

    Raises:
        ConfigError: The config or an option is faulty.
    """
    from mmcma.config import check_config, load_config, parse_options
    options = parse_options(args.cfg_options)
    for key, flag in getattr(args, 'instead_of_options', {}).items():
        if key in options:
            raise ConfigError(f'--cfg-options {key}={short(str(options[key]))} would change nothing: say {flag}.')
    cfg = load_config(args.config, options)
    check_config(cfg)
    return cfg


def read_config(args: argparse.Namespace):
    """:func:`checked_config`, with work directory, launcher and seed filled in.

    Raises:
        ConfigError: The config or an option is faulty.
    """
    from mmcma.config import LOADERS, check_run_settings
    cfg = checked_config(args)
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or os.path.join('work_dirs', Path(args.config).stem)
    if os.path.exists(cfg.work_dir) and not os.path.isdir(cfg.work_dir):
        raise ConfigError(f'work_dir {cfg.work_dir!r} is a file: choose another with --work-dir.')
    cfg.launcher = args.launcher
    for loader in filter(None, map(cfg.get, LOADERS)):
        if args.no_pin_memory:
            loader['pin_memory'] = False
    if args.seed is not None:
        cfg.randomness = dict(cfg.get('randomness', {}), seed=args.seed)
    check_run_settings(cfg)
    set_local_rank(args)
    return cfg


def set_local_rank(args: argparse.Namespace) -> None:
    """Puts a launcher's ``--local-rank`` where mmengine looks for it."""
    if args.local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))


def run_tool(main: Callable[[], None]) -> None:
    """Runs ``main``; an error that the user can mend is one line on stderr and exit code 2, an interruption 130.

    Such is a file or folder, too, that cannot be opened, made or written. Letters that the terminal cannot show are
    escaped; a reader that has gone, as ``| head -1``, ends it in silence.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is flushed at the end
        sys.exit(141)  # 128 + SIGPIPE
    except UserError as error:
        _end(f'error: {one_line(error)}', 2)
    except OSError as error:
        if error.filename is None:  # of no file that a user could name
            raise
        _end(one_short_line(f'error: {error.filename}: {error.strerror}'), 2)
    except KeyboardInterrupt:
        _end('interrupted', 130)  # 128 + SIGINT, as from a shell


def _end(message: str, code: int) -> NoReturn:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    sys.exit(code)


def one_line(error: UserError) -> str:
    """The error's message; of one that a data loader's worker passed on, only what was raised there."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    name = f'{type(error).__module__}.{type(error).__name__}: '
    return lines[-1].removeprefix(name) if lines else type(error).__name__


@contextmanager
def nothing_half_written(work_dir: str, started: Callable[[], bool]) -> Iterator[None]:
    """Removes a work directory that did not exist before, if a user's error ends the run before it started.

    Args:
        work_dir: The run's directory.
        started: Whether the run has results to keep.
    """
    path = Path(work_dir).absolute()
    new = next((parent for parent in [*reversed(path.parents), path] if not parent.exists()), None)
    try:
        yield
    except UserError:
        if new is not None and not started():
            shutil.rmtree(new, ignore_errors=True)
        raise
