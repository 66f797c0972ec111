"""Shows what the data of a config look like to the model, and checks them.

    python tools/analysis_tools/browse_dataset.py configs/cma/cma_vit-b16_msrvtt.py --split test
    python tools/analysis_tools/browse_dataset.py configs/cma/cma_vit-b16_msrvtt.py --split test --check

Prints a summary and writes a contact sheet, a page of HTML with the frames that come out of the config's pipeline. With
--check every item goes through the pipeline and the counts are compared with the published ones; each missing or
unreadable file is listed, and the exit code is 1 if anything is wrong.
"""
import argparse
import os
import sys
from pathlib import Path
from statistics import median

from mmcma.cli.arguments import (
    add_config_options,
    add_worker_arguments,
    check_at_least,
    check_can_be_folder,
    checked_config,
    run_tool,
)
from mmcma.utils.errors import ConfigError

#: Clips whose length is measured without --check.
LENGTHS = 200


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train',
                        help='whose dataloader (default: train)')
    parser.add_argument('--out', metavar='DIR', help='where the sheet goes (default: work_dirs/<config>/browse)')
    parser.add_argument('--num', type=int, default=24, help='items on the sheet, spread over the set (default: 24)')
    parser.add_argument('--check', action='store_true', help='read every item and compare the counts')
    add_worker_arguments(parser, timeout=120)
    add_config_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_at_least(args, num=0, workers=1, timeout=0.001)
    check_can_be_folder(args.out, '--out')
    cfg = checked_config(args)
    loader = cfg.get(f'{args.split}_dataloader')
    if loader is None:
        raise ConfigError(f'{args.config} has no {args.split}_dataloader')
    dataset = build_dataset(loader.dataset, skip_missing=args.check)
    size = len(dataset)
    on_sheet = spread(size, args.num)
    read = range(size) if args.check else on_sheet
    opened = range(size) if args.check else sorted({*on_sheet, *spread(size, LENGTHS)})
    looks = look(ItemReader(dataset, set(read), set(on_sheet)), opened, args)
    tokens, without_tokens = find_tokenizer(cfg.get('model') or {})
    summary = summarise(dataset, [of.value for of in looks.values() if of.value], tokens) | without_tokens
    sheet = Path(args.out or Path('work_dirs', Path(args.config).stem, 'browse')) / f'{args.split}.html'
    write_sheet(sheet, f'{Path(args.config).name}, {args.split}', summary, [looks[index] for index in on_sheet],
                dataset, tokens)
    problems = unreadable_files(dataset, looks)
    if args.check:
        problems = [*count_problems(dataset), *absent_files(dataset), *problems]
    print_results(summary, problems, sheet)
    if args.check:
        unreadable = sum(of.error is not None for of in looks.values())
        absent = len(absent_files(dataset))
        print(f'checked {size + absent:,} items: {size - unreadable:,} read, {unreadable:,} unreadable, '
              f'{absent:,} without a file; {"something is wrong" if problems else "all is well"}')
        sys.exit(bool(problems))


def build_dataset(cfg, *, skip_missing: bool):
    """The data set as items and not as pairs, broken files raised; ``skip_missing`` lets absent ones be counted."""
    from mmcma.datasets import RetrievalDataset
    from mmcma.registry import DATASETS
    cfg = dict(cfg)
    if issubclass(DATASETS.get(cfg['type']), RetrievalDataset):
        cfg.update(test_mode=True, on_error='raise')
        if skip_missing:
            cfg.update(missing='skip')
    return DATASETS.build(cfg)


def spread(size: int, count: int) -> list[int]:
    """Up to ``count`` indices below ``size``, evenly."""
    count = min(size, count)
    return [index * size // count for index in range(count)]


class ItemReader:
    """Opens one item; the job of a process.

    Args:
        dataset: The items.
        read: Indices of the items that go through the pipeline; of the others only the length is taken.
        on_sheet: Indices of those whose frames are kept.
    """

    def __init__(self, dataset, read: set[int], on_sheet: set[int]) -> None:
        self.dataset, self.read, self.on_sheet = dataset, read, on_sheet

    def __call__(self, index: int) -> dict:
        """``seconds`` of the clip or None, and for the sheet what ``Shown`` takes."""
        from mmcma.utils.images import film_strip
        from mmcma.visualization.hardest_queries import shown_frames
        found = dict(seconds=None)
        if index in self.read:
            sample = self.dataset[index]
            frames, item = shown_frames(sample), sample['data_samples']
            if index in self.on_sheet:
                slots = len(sample['inputs'])
                notes = [*([f'{len(frames)} of {slots} frames'] if slots > 1 else []), f'{frames.shape[-1]} px']
                found.update(item_id=item.item_id, captions=item.captions, strip=film_strip(frames, count=12),
                             frames=len(frames), notes=notes)
        if hasattr(self.dataset, 'items'):
            found['seconds'] = clip_seconds(self.dataset.items[index])
        return found


def clip_seconds(item: dict) -> float | None:
    """Length of an item's clip; None for images and folders of frames, and where only its frames are there."""
    from mmcma.datasets import open_video
    from mmcma.datasets.annotations.media_folder import IMAGE_SUFFIXES
    start, end, path = item.get('start') or 0.0, item.get('end'), item['path']
    if end is None and os.path.isfile(path) and os.path.splitext(path)[1].lower() not in IMAGE_SUFFIXES:
        with open_video(path) as video:
            end = video.duration
    return None if end is None else end - start


def look(job: ItemReader, indices, args: argparse.Namespace) -> dict:
    """Index -> outcome, with a progress bar."""
    from rich.console import Console
    from rich.progress import track

    from mmcma.utils.jobs import watched_jobs
    outcomes = watched_jobs(job, indices, workers=max(args.workers, 1), seconds=args.timeout)
    shown = track(outcomes, 'opening items', total=len(indices), console=Console(stderr=True), transient=True)
    return dict(sorted((outcome.task, outcome) for outcome in shown))


def find_tokenizer(model) -> tuple:
    """The config's tokenizer, and nothing; or None, and a row of the summary that says why."""
    from mmcma.utils.errors import WeightsError
    from mmcma.visualization.caption_tokens import CaptionTokens
    try:
        return CaptionTokens(model), {}
    except WeightsError as error:
        return None, {'tokens a caption': f'not counted: {error}'}


def summarise(dataset, found: list[dict], tokens) -> dict[str, str]:
    """What there is, as rows of name and text."""
    if not hasattr(dataset, 'items'):
        return {'samples': f'{len(dataset):,}'}
    captions = [caption for item in dataset.items for caption in item['captions']]
    standard = getattr(dataset, 'SPLITS', {}).get(getattr(dataset, 'split', None))
    published = [f' (published: {count:,})' for count in standard] if standard else ['', '']
    present, expected = dataset.gallery
    rows = {
        'data set': ' '.join(filter(None, (dataset.metainfo['dataset'], dataset.metainfo['split']))),
        'gallery': f'{present:,} of {expected:,}',
        'items': f'{len(dataset.items):,}{published[0]}',
        'captions': f'{len(captions):,}{published[1]}',
        'captions an item': ranges([len(item['captions']) for item in dataset.items]),
    }
    lengths = [look['seconds'] for look in found if look['seconds'] is not None]
    if lengths:
        rows['seconds a clip'] = f'{ranges(lengths)} ({len(lengths):,} clips measured)'
    if tokens:
        counts = tokens.counts(captions)
        rows['tokens a caption'] = ranges(counts)
        if tokens.limit:
            cut = sum(count > tokens.limit for count in counts)
            rows['cut'] = f'{cut:,} captions ({100 * cut / len(counts):.1f} %) have more than {tokens.limit} tokens'
    return rows


def ranges(values: list) -> str:
    low, middle, high = (f'{value:,.1f}'.removesuffix('.0') for value in (min(values), median(values), max(values)))
    return low if low == high else f'{low} to {high}, median {middle}'


def write_sheet(path: Path, title: str, summary: dict, looks: list, dataset, tokens) -> None:
    """Writes the contact sheet."""
    from mmcma.utils.files import write_atomic
    from mmcma.visualization.contact_sheet import Shown, contact_sheet
    items = []
    for outcome in looks:
        shown = outcome.value or name_and_captions(dataset, outcome.task)
        shown['captions'] = [split_at_limit(caption, tokens) for caption in shown['captions']]
        shown.pop('seconds', None)
        items.append(Shown(**shown, error=outcome.error))
    subtitle = f'{len(items):,} of {len(dataset):,} items; red: what the token limit cuts off'
    write_atomic(contact_sheet(title, subtitle, summary, items).encode(), path)


def name_and_captions(dataset, index: int) -> dict:
    """``item_id`` and ``captions`` of an item that cannot be read."""
    item = dataset.items[index] if hasattr(dataset, 'items') else dict(id=str(index), captions=[])
    return dict(item_id=item['id'], captions=item['captions'])


def split_at_limit(caption: str, tokens) -> tuple[str, str]:
    """What the model reads of a caption, and the rest."""
    read = tokens.read_part(caption) if tokens else caption
    return read, caption[len(read):]


def count_problems(dataset) -> list[str]:
    """Where the annotation files differ from the published split."""
    listed = getattr(dataset, 'listed', None)
    standard = dataset.SPLITS.get(dataset.split) if listed else None
    if standard in (None, listed):
        return []
    return [f'{dataset.title}: lists {listed.items:,} items and {listed.captions:,} captions; the published split has '
            f'{standard.items:,} and {standard.captions:,}']


def absent_files(dataset) -> list[str]:
    """Every item without a file."""
    return [f'{item_id}: no file' for item_id in getattr(dataset, 'absent', ())]


def unreadable_files(dataset, looks: dict) -> list[str]:
    """Every item that was opened and could not be read, with the reason."""
    errors = [(name_and_captions(dataset, index)['item_id'], of.error) for index, of in looks.items() if of.error]
    return [error if repr(item_id) in error else f'{item_id}: {error}' for item_id, error in errors]


def print_results(summary: dict[str, str], problems: list[str], sheet: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    table = Table.grid(padding=(0, 2))
    for row in summary.items():
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    console.print(table)
    for problem in problems:
        console.print(f'wrong: {problem}', soft_wrap=True)
    console.print(f'sheet: {sheet}', soft_wrap=True)


if __name__ == '__main__':
    run_tool(main)
