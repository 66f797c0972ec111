"""Encode the videos and images of a folder, so that they can be searched.

  mmcma index videos/ --model openai/clip-vit-base-patch32 --out gallery/
  mmcma index videos/ --model cma-msrvtt --out s3://bucket/gallery
  mmcma index videos/ --model cma-msrvtt --out gallery/ --ray auto
  mmcma index films/ --model cma-msrvtt --out gallery/ --moments 20 --fast

Killed at any moment and started again, it goes on where it stopped. Run again later, it encodes what is new or has
changed and forgets what is gone; who searches meanwhile sees what was last committed. A file that cannot be read is
named with the reason and tried again next time. The folder itself is only read. A folder of mmcma export, as
cma-msrvtt, is found again by the gallery; a config with its checkpoint has to be named for every search too.
"""
import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmcma.cli.arguments import check_at_least

#: Files that could not be read, of which the reason is printed; the gallery's table has all.
_FAILURES_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('folder', metavar='FOLDER', help='videos and images, in subfolders or not')
    parser.add_argument('--model', required=True, help='a CLIP of the Hugging Face Hub or its folder, a folder of '
                        "mmcma export, a config file, or 'tiny', which knows pictures of glyphs only")
    parser.add_argument('--checkpoint', metavar='FILE', help='the trained weights of that model, where it '
                        'is a config file: a .pth of tools/train.py')
    parser.add_argument('--out', required=True, metavar='GALLERY', help="the gallery's folder, or a URI as s3://…")
    parser.add_argument('--moments', metavar='SECONDS|shots|whole', help='cut videos into windows of so many seconds, '
                        'half overlapping, at their cuts, or not at all (default: those longer than a minute, '
                        'into windows of 10)')
    parser.add_argument('--fast', action='store_true', help='decode key frames alone')
    parser.add_argument('--repair', action='store_true', help='read all of the gallery and encode anew '
                        'what is damaged')
    place = parser.add_mutually_exclusive_group()
    place.add_argument('--device', help='where the model works, as in cuda (default: a GPU if there is one)')
    place.add_argument('--ray', metavar='ADDRESS', help="reads and encodes on a Ray cluster: 'auto' for the one of "
                       'this machine, or HOST:6379')
    parser.add_argument('--batch-size', type=int, default=16, metavar='N', help='items encoded at once (default: 16)')
    parser.add_argument('--workers', type=int, metavar='N', help='decoding processes (default: one a core)')
    parser.add_argument('--timeout', type=float, default=300, metavar='SECONDS',
                        help='a file that gives no frame for so long has failed (default: 300)')


def run(args: argparse.Namespace) -> None:
    check_at_least(args, batch_size=1, workers=1, timeout=0.001)
    from mmcma.apis import RetrievalInferencer, init_model
    from mmcma.checkpoints.sources import is_data
    from mmcma.search import index_folder
    from mmcma.search.indexing import check_request
    check_request(args.folder, args.out, args.repair, args.moments, args.fast)
    device = 'cpu' if args.ray else args.device  # with a cluster others encode
    inferencer = RetrievalInferencer(init_model(args.model, args.checkpoint, device), batch_size=args.batch_size)
    with _bar() as show:
        report = index_folder(args.folder, args.out, inferencer, model=args.model, checkpoint=args.checkpoint,
                              workers=args.workers, timeout=args.timeout, ray=args.ray, repair=args.repair,
                              moments=args.moments, fast=args.fast, progress=show)
    print(f'{args.out}: {report.items:,} items, {report.moments:,} moments; {report.added:,} added, '
          f'{report.updated:,} updated, {report.deleted:,} deleted, {report.unchanged:,} unchanged')
    if not is_data(args.model):
        named = f'--model {args.model}' + (f' --checkpoint {args.checkpoint}' if args.checkpoint else '')
        print(f'to search it, add {named}; a gallery finds an exported folder again by itself (mmcma export)')
    if report.skipped:
        kinds = ', '.join(f'{count:,} {suffix or "without a suffix"}' for suffix, count in report.skipped.items())
        print(f'{sum(report.skipped.values()):,} other files were skipped: {kinds}', file=sys.stderr)
    if report.failures:
        print(f'{report.failed:,} files could not be read, {len(report.failures) - report.failed:,} not in all their '
              'moments:', file=sys.stderr)
        for path, reason in list(report.failures.items())[:_FAILURES_SHOWN]:
            print(f'  {path}: {reason}', file=sys.stderr)


@contextmanager
def _bar() -> Iterator[Callable[[Any], None]]:
    """A progress bar on stderr: bytes of files tell the time left, and video the speed."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    columns = (TextColumn('encoding'), BarColumn(), TextColumn('{task.fields[state]}'), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task('', total=None, state='')

        def show(progress) -> None:
            speed = progress.seconds / max(bar.tasks[task].elapsed or 0, 1e-3)
            state = f'{progress.files:,}/{progress.of_files:,} files  {speed:.1f} s of video/s'
            bar.update(task, completed=progress.done, total=progress.of_all,
                       state=f'{state}  {progress.failed:,} failed')
        yield show
