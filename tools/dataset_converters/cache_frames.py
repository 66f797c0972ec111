"""Decodes each video of a config's data sets once, and stores the frames as the model sees them.

    python tools/dataset_converters/cache_frames.py configs/cma/cma_vit-b16_msrvtt.py --out data/msrvtt/frames

Killed at any moment and started again, it goes on where it stopped. A file that cannot be read costs its own item only:
it is listed with its id and the reason in DIR/failures.jsonl, tried again next time, and the exit code is 1.

A config reads the cache with one line after its pipeline,

    pipeline[:2] = [dict(type='LoadCachedFrames', cache='data/msrvtt/frames', steps=pipeline[:2])]

and one that inherits its data loaders with the line that this tool prints. Of a config that reads a cache already, the
frames that the cache stands for are made. Frames are stored as they are (12 frames of 224 pixels: 1.8 MB); --jpeg 95
takes a seventh of that and changes a value by 1 of 255 on average, by 22 at most on 83 real clips
(docs/results/data_benchmark.json).
"""
import argparse
import json
import sys
from pathlib import Path

from mmcma.cli.arguments import (
    add_config_options,
    add_worker_arguments,
    check_at_least,
    check_can_be_folder,
    checked_config,
    items_bar,
    run_tool,
)
from mmcma.utils.errors import ConfigError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder of the cache')
    parser.add_argument('--splits', nargs='+', choices=['train', 'val', 'test'], default=['train', 'val', 'test'],
                        help='whose dataloaders (default: all)')
    parser.add_argument('--jpeg', type=int, metavar='QUALITY', help='store JPEG, of 1 to 100, e.g. 95')
    add_worker_arguments(parser, timeout=300)
    add_config_options(parser)
    return parser.parse_args()


def check_arguments(args: argparse.Namespace) -> None:
    """Refuses figures and places that cannot be, with a ConfigError."""
    check_at_least(args, workers=1, timeout=0.001)
    check_can_be_folder(args.out, '--out')
    if args.jpeg is not None and not 1 <= args.jpeg <= 100:
        raise ConfigError(f'--jpeg {args.jpeg} must be from 1 to 100')


def main() -> None:
    args = parse_args()
    check_arguments(args)
    from mmcma.datasets.video.cache import FrameCache
    cfg = checked_config(args)
    loaders = [f'{split}_dataloader' for split in args.splits if cfg.get(f'{split}_dataloader')]
    if not loaders:
        raise ConfigError(f'{args.config} has no data loader of --splits {" ".join(args.splits)}')
    steps, rest = split_pipeline(cfg, loaders)
    items = all_items(cfg, loaders)
    cache = FrameCache.create(args.out, steps, quality=args.jpeg, config=args.config)
    todo = [item for item in items if not cache.path(item['id']).exists()]
    failed = fill(cache, steps, todo, args)
    pipeline = [dict(type='LoadCachedFrames', cache=args.out), *rest]
    print(f'{args.out}: {len(items) - failed:,} of {len(items):,} items, {len(todo) - failed:,} of them new. '
          f'To read them:\n\n{" = ".join(loaders)} = dict(dataset=dict(pipeline={pipeline}))\n')
    if failed:
        print(f'{failed:,} items failed, see {Path(args.out, "failures.jsonl")}', file=sys.stderr)
        sys.exit(1)


def split_pipeline(cfg, loaders: list[str]) -> tuple[list[dict], list[dict]]:
    """The steps up to ``ResizeCrop``, whose frames are stored, and those after it.

    Raises:
        ConfigError: When there is no such step, or the data loaders make frames in different ways.
    """
    from mmcma.datasets.video.cache import frame_settings
    found = {}
    for loader in loaders:
        pipeline = uncached([dict(step) for step in cfg[loader].dataset.get('pipeline', [])])
        names = [step['type'].split('.')[-1] for step in pipeline]
        if 'ResizeCrop' not in names:
            raise ConfigError(f'{loader}.dataset.pipeline={names} has no steps to cache, from loading to ResizeCrop')
        found[loader] = pipeline, names.index('ResizeCrop') + 1
    first, *others = ((loader, frame_settings(pipeline[:end])) for loader, (pipeline, end) in found.items())
    for other in others:
        for key in {**first[1], **other[1]}:
            values = first[1].get(key), other[1].get(key)
            if values[0] != values[1]:
                raise ConfigError(f'{key} is {values[0]!r} in {first[0]} and {values[1]!r} in {other[0]}, and a cache '
                                  'holds frames of one kind; choose with --splits, with an --out for each')
    pipeline, end = found[loaders[0]]
    return pipeline[:end], pipeline[end:]


def uncached(pipeline: list[dict]) -> list[dict]:
    """The pipeline with the steps that made the frames in the place of ``LoadCachedFrames``.

    Raises:
        DataError: It does not say them, and there is no cache that does.
    """
    if not pipeline or pipeline[0]['type'].split('.')[-1] != 'LoadCachedFrames':
        return pipeline
    first, *rest = pipeline
    return [*map(dict, first.get('steps') or steps_of(first['cache'])), *rest]


def steps_of(cache: str) -> list[dict]:
    """The steps whose frames a cache holds, by its manifest."""
    from mmcma.datasets.video.cache import FrameCache
    settings = FrameCache(cache).manifest.settings
    return [dict(type=name, **{key.removeprefix(f'{name}.'): value for key, value in settings.items()
                               if key.startswith(f'{name}.') and key != f'{name}.version'})
            for name in settings['steps'].split(', ')]


def all_items(cfg, loaders: list[str]) -> list[dict]:
    """Every item of the data loaders' data sets once.

    Raises:
        DataError: When one id stands for two different clips.
    """
    from mmcma.registry import DATASETS
    from mmcma.utils.errors import DataError
    items: dict[str, dict] = {}
    for loader in loaders:
        for item in DATASETS.build(dict(cfg[loader].dataset, pipeline=[])).items:
            clip = {key: item.get(key) for key in ('id', 'path', 'start', 'end', 'end_at_most') if key in item}
            known = items.setdefault(item['id'], clip)
            if known != clip:
                raise DataError(f"{loader}: the id {item['id']!r} stands for {clip} here and for {known} before; "
                                'cache them with --splits into two folders')
    return list(items.values())


class MakeFrames:
    """Stores the frames of one item; the job of a process."""

    def __init__(self, cache, steps: list[dict]) -> None:
        from mmcma.registry import TRANSFORMS
        self.cache, self.steps = cache, [TRANSFORMS.build(step) for step in steps]

    def __call__(self, item: dict) -> None:
        results = dict(item)
        for step in self.steps:
            results = step(results)
        self.cache.write(item['id'], results['frames'][results['frame_mask']])


def fill(cache, steps: list[dict], todo: list[dict], args: argparse.Namespace) -> int:
    """Stores the frames of these items; returns how many of them failed."""
    import torch

    from mmcma.utils.jobs import watched_jobs
    torch.set_num_threads(1)  # the processes are as many as the cores
    failed = 0
    outcomes = watched_jobs(MakeFrames(cache, steps), todo, workers=args.workers, seconds=args.timeout)
    with open(cache.folder / 'failures.jsonl', 'w', encoding='utf-8') as failures, items_bar('decoding') as show:
        for done, outcome in enumerate(outcomes, 1):
            if outcome.error is not None:
                failed += 1
                line = dict(id=outcome.task['id'], path=str(outcome.task['path']), error=outcome.error)
                print(json.dumps(line, ensure_ascii=False), file=failures, flush=True)
            show(done, len(todo), failed)
    return failed


if __name__ == '__main__':
    run_tool(main)
