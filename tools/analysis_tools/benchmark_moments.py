"""How well moments of a long video are found: a test set's clips joined into one, and every caption asked.

    python tools/analysis_tools/benchmark_moments.py --seconds 1 2 4 10 --overlaps 0 0.5 --out moments.json
    python tools/analysis_tools/benchmark_moments.py --data-root clips --ann-file captions.jsonl --seconds 5 10 20

Between the clips lie random pauses of black, so that no grid of windows fits them. The first row is clip retrieval:
the model is told where each clip begins and ends, and ranks these stretches of the same file. Below it are windows, of
which it is told nothing; what overlaps a better window is joined to it. R@k "half": the share of captions of which one
of the first k windows and the clip have an intersection over union of at least 0.5. "covers": the window has at least
half of the clip. The error is from the middle of the first window to that of the clip. "pooled" ranks by each moment's
mean vector, as a gallery's first stage does, in place of the model's own similarity.
"""
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
from mmcma.cli.arguments import run_tool
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


def main() -> None:
    args = parser().parse_args()
    inferencer = RetrievalInferencer(init_model(args.model, args.checkpoint), batch_size=args.batch_size)
    items = test_items(args)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'joined.mp4')
        spans, duration = join_clips([item['path'] for item in items], path, args.size, args.pause, args.seed)
        asked = [Asked(caption, span) for item, span in zip(items, spans) for caption in item['captions']]
        text = inferencer.encode_text([caption for caption, _ in asked])
        plans = {'clips cut apart': spans} | {
            f'{seconds:g} s, overlap {overlap:g}': windows(duration, seconds, overlap)
            for seconds in args.seconds for overlap in args.overlaps}
        rows = {name: row for plan, moments in plans.items()
                for name, row in measure(inferencer, text, path, plan, moments, asked).items()}
    title = f'{len(asked):,} captions of {len(items):,} clips in {duration / 60:.1f} minutes'
    print_table(title, ('moments', *next(iter(rows.values()))), [(name, *row.values()) for name, row in rows.items()])
    save(args, args.name, dict(clips=len(items), captions=len(asked), seconds=round(duration, 1), rows=rows))


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('--model', default='tiny', help="'tiny', an exported folder, or a config file")
    result.add_argument('--checkpoint', metavar='FILE', help='the trained weights, where the model is a config')
    result.add_argument('--ann-file', metavar='FILE', help='clips as for CaptionedFiles (default: GlyphMotion)')
    result.add_argument('--data-root', default='data/glyphmotion', metavar='DIR', help='folder of the clips')
    result.add_argument('--clips', type=int, metavar='N', help='the first N (default: all)')
    result.add_argument('--seconds', nargs='+', type=float, default=[1, 2, 4, 10], metavar='S', help='of a window')
    result.add_argument('--overlaps', nargs='+', type=float, default=[0, 0.5, 0.75], metavar='SHARE')
    result.add_argument('--pause', type=float, default=2, metavar='S', help='the longest between clips (default: 2)')
    result.add_argument('--size', type=int, default=128, metavar='PIXELS', help='side of the video (default: 128)')
    result.add_argument('--seed', type=int, default=0, help='of the pauses')
    result.add_argument('--batch-size', type=int, default=32, metavar='N')
    result.add_argument('--name', default='GlyphMotion', help='of the figures in --out')
    result.add_argument('--out', type=Path, metavar='FILE', help='add the figures to this JSON file')
    return result


def test_items(args: argparse.Namespace) -> list[dict]:
    options = dict(data_root=args.data_root, test_mode=True)
    dataset = DATASETS.build(dict(type='CaptionedFiles', ann_file=args.ann_file, **options) if args.ann_file else
                             dict(type='GlyphMotion', split='test', **options))
    return list(dataset.items)[:args.clips]


def join_clips(paths: list[str], target: Path, size: int, pause: float, seed: int) -> tuple[list[Span], float]:
    """Writes one video of all clips, whole and in the middle of a square; when each is shown, and the length in all."""
    random, spans, number = np.random.default_rng(seed), [], 0
    with av.open(str(target), 'w') as container:
        stream = container.add_stream('libx264', rate=RATE, options=dict(crf='18', preset='veryfast'))
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
            show([np.zeros((size, size, 3), np.uint8)] * round(random.uniform(0, pause) * RATE))
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
            asked: list[Asked]) -> dict[str, dict[str, float]]:
    """The figures of one way to cut the video, by the model's similarity and by pooled vectors."""
    read, batches = [], []
    for spans, clips in readable(moment_clips(path, frame_pipeline(inferencer.model.cfg), moments),
                                 inferencer.batch_size):
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


if __name__ == '__main__':
    run_tool(main)
