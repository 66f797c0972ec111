"""Moments of a long video: clips joined, windows of it ranked for every caption."""
import argparse
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch

from benchmarks.core import print_table, save
from mmcma.apis import RetrievalInferencer, init_model
from mmcma.apis.media import frame_pipeline, moment_clips, readable
from mmcma.datasets import open_video
from mmcma.datasets.video.sampling import frame_at
from mmcma.registry import DATASETS
from mmcma.search.rows import first_stage_vectors
from mmcma.structures import Features
from mmcma.utils.spans import Span, intersection_over_union, join_overlapping, windows

#: k of R@k; frames a second of the joined video.
TOP, RATE = (1, 5, 10), 25


class Asked(NamedTuple):
    """A caption and when its clip is shown."""
    caption: str
    span: Span


class Found(NamedTuple):
    """A window, as ``join_overlapping`` takes it."""
    path: str
    start: float
    end: float


def run(args: argparse.Namespace) -> None:
    """Joins, asks, and prints and saves the table."""
    inferencer = RetrievalInferencer(init_model(args.model, args.checkpoint), batch_size=args.batch_size)
    items = test_items(args)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'joined.mp4')
        spans, duration = join_clips([item['path'] for item in items], path, args)
        asked = [Asked(caption, span) for item, span in zip(items, spans) for caption in item['captions']]
        text = inferencer.encode_text([caption for caption, _ in asked])
        plans = {'clips cut apart': spans} | {
            f'{seconds:g} s, overlap {overlap:g}': windows(duration, seconds, overlap)
            for seconds in args.seconds for overlap in args.overlaps}
        rows = {name: row for plan, moments in plans.items() for fast in sorted({False, args.fast})
                for name, row in measure(inferencer, text, path, plan, moments, asked, fast).items()}
        with open_video(str(path), key_frames=True) as video:
            apart = round(duration / len(video.timestamps), 2)
    title = (f'{len(asked):,} captions of {len(items):,} clips in {duration / 60:.1f} minutes, a key frame every '
             f'{apart:g} s')
    print_table(title, ('moments', *next(iter(rows.values()))), [(name, *row.values()) for name, row in rows.items()])
    save(args, args.name, dict(clips=len(items), captions=len(asked), seconds=round(duration, 1),
                              seconds_between_key_frames=apart, rows=rows))


def test_items(args: argparse.Namespace) -> list[dict]:
    options = dict(data_root=args.data_root, test_mode=True)
    dataset = DATASETS.build(dict(type='CaptionedFiles', ann_file=args.ann_file, **options) if args.ann_file else
                             dict(type='GlyphMotion', split='test', **options))
    return list(dataset.items)[:args.clips]


def join_clips(paths: list[str], target: Path, args: argparse.Namespace) -> tuple[list[Span], float]:
    """Writes one video of all clips, whole and in the middle of a square; when each is shown, and the length in all."""
    random, size, spans, number = np.random.default_rng(args.seed), args.size, [], 0
    with av.open(str(target), 'w') as container:
        stream = container.add_stream('libx264', rate=RATE, options=dict(crf='18', preset='veryfast'))
        stream.gop_size = round(args.key_frames * RATE)
        stream.width = stream.height = size
        stream.pix_fmt, stream.codec_context.thread_count = 'yuv420p', 1

        def show(images) -> None:
            nonlocal number
            for image in images:
                frame = av.VideoFrame.from_ndarray(image, format='rgb24')
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                container.mux(stream.encode(frame))
                number += 1
        for path in paths:
            show([np.zeros((size, size, 3), np.uint8)] * round(random.uniform(0, args.pause) * RATE))
            first = number
            with open_video(path) as video:
                indices = frame_at(video.timestamps, np.arange(0, video.duration - 0.5 / RATE, 1 / RATE))
                scaled = dict(video.scan(np.unique(indices), lambda frame: in_square(frame, size)))
                show(scaled[index] for index in indices.tolist())
            spans.append(Span(first / RATE, number / RATE))
        container.mux(stream.encode())
    return spans, number / RATE


def in_square(frame: np.ndarray, size: int) -> np.ndarray:
    """An image scaled to fit, black around it."""
    scale = size / max(frame.shape[:2])
    height, width = (max(2, round(side * scale) // 2 * 2) for side in frame.shape[:2])
    image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format='rgb24').reformat(width, height)
    top, left = (size - height) // 2, (size - width) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top:top + height, left:left + width] = image.to_ndarray(format='rgb24')
    return square


@torch.inference_mode()
def measure(inferencer: RetrievalInferencer, text: Features, path: Path, plan: str, moments: list[Span],
            asked: list[Asked], fast: bool) -> dict[str, dict[str, float]]:
    """The figures of one way to cut the video, by the model's similarity and by pooled vectors."""
    read, batches, plan = [], [], f'{plan}, key frames alone' if fast else plan
    for spans, clips in readable(moment_clips(path, frame_pipeline(inferencer.model.cfg), moments,
                                              key_frames=fast), inferencer.batch_size):
        read += spans
        batches.append(inferencer.model.encode_visual(*(torch.stack([getattr(clip, name) for clip in clips])
                                                        for name in ('frames', 'mask'))).to('cpu'))
    visual = Features.join(batches)
    pooled = torch.from_numpy(first_stage_vectors(
        [tokens[mask].numpy() for tokens, mask in zip(visual.tokens, visual.mask)]))
    return {plan: figures(inferencer.similarity(text, visual), read, asked),
            f'{plan}, pooled': figures(text.pooled @ pooled.T, read, asked)}


def figures(scores: torch.Tensor, moments: list[Span], asked: list[Asked]) -> dict[str, float]:
    """R@k in percent and the median error in seconds of scores ``(captions, moments)``."""
    half, covers, errors = [], [], []
    for row, (_, clip) in zip(scores.numpy(), asked):
        order = np.argsort(-row, kind='stable')
        best = join_overlapping([Found('', *moments[index]) for index in order[:20 * max(TOP)]])[:max(TOP)]
        half.append(first_place([intersection_over_union(Span(*one[1:]), clip) >= 0.5 for one in best]))
        covers.append(first_place([min(one.end, clip.end) - max(one.start, clip.start) >= (clip.end - clip.start) / 2
                                   for one in best]))
        errors.append(abs(best[0].start + best[0].end - clip.start - clip.end) / 2)
    recalls = {f'{name} R@{k}': round(100 * float(np.mean(np.array(places) < k)), 1)
               for name, places in (('half', half), ('covers', covers)) for k in TOP}
    return {**recalls, 'error, s': round(float(np.median(errors)), 1)}


def first_place(right: list[bool]) -> int:
    """Where the first right one stands; far away where none is."""
    return right.index(True) if any(right) else 10**6
