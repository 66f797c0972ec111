"""How fast clips become what the model reads, against the common pipeline, on one core.

    python tools/analysis_tools/benchmark_data.py --clips DIR --out docs/results/data_benchmark.json
    python tools/analysis_tools/benchmark_data.py --clips DIR --stores

DIR holds videos, in folders or not, and captions.json, a list of {"video", "captions"}, if there is one. The common
pipeline is decord on one thread, get_batch at 1 fps up to 12 frames, Pillow's resize and centre crop frame by frame,
and a float tensor; ours is LoadVideoFrames, ResizeCrop and PackRetrievalInputs, and the same from a frame cache. First
both preprocess the same frames, which must come out equal. Then the clips are gone through in turns, all by one side
and all by the next, and the ratios are taken within each round. A second is one of processor time, all threads of the
process together: that is what a core gives, and what else the machine does matters little.

With --stores it compares forms in which a frame cache could be kept; lmdb and webdataset take part where installed.
"""
from __future__ import annotations

import argparse
import io
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from mmcma.cli.arguments import run_tool

if TYPE_CHECKING:
    import numpy as np
    import torch

SIZE, FRAMES = 224, 12
STEPS = [dict(type='LoadVideoFrames', num_frames=FRAMES, fps=1.0), dict(type='ResizeCrop', size=SIZE)]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--clips', type=Path, required=True, metavar='DIR', help='folder of videos')
    parser.add_argument('--rounds', type=int, default=5, help='times that each side takes all clips (default: 5)')
    parser.add_argument('--stores', action='store_true', help='compare forms of a frame cache')
    parser.add_argument('--out', type=Path, metavar='FILE', help='put the figures into this JSON file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # before torch is imported
    import torch
    torch.set_num_threads(1)
    items = list_clips(args.clips)
    with tempfile.TemporaryDirectory() as folder:
        part = 'stores' if args.stores else 'pipelines'
        found = compare_stores(items, Path(folder), args.rounds) if args.stores else \
            compare_pipelines(items, Path(folder), args.rounds)
    print(json.dumps(found, indent=1))
    if args.out:
        known = json.loads(args.out.read_text()) if args.out.exists() else {}
        command = 'python tools/analysis_tools/benchmark_data.py --clips DIR' + ' --stores' * args.stores
        known[part] = dict(command=f'{command} --rounds {args.rounds}', **found)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(known, indent=1) + '\n')


def list_clips(folder: Path) -> list[dict]:
    """Every video below a folder as an item of a test set.

    Raises:
        DataError: When there is none.
    """
    from mmcma.datasets.annotations.media_folder import VIDEO_SUFFIXES
    from mmcma.utils.errors import DataError
    file = folder / 'captions.json'
    captions = {Path(clip['video']).stem: clip['captions'] for clip in json.loads(file.read_text())} \
        if file.exists() else {}
    paths = sorted(path for path in folder.rglob('*') if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise DataError(f"--clips {folder}: no videos ({' '.join(VIDEO_SUFFIXES)})")
    return [dict(id=str(path.relative_to(folder)), path=str(path), captions=captions.get(path.stem, ['a video']),
                 item_index=index) for index, path in enumerate(paths)]


# ---- the common pipeline ----

def decode_commonly(path: str) -> np.ndarray:
    """decord at 1 fps up to 12 frames: uint8 ``(n, H, W, 3)``."""
    import decord
    import numpy as np
    video = decord.VideoReader(path, num_threads=1)
    seconds = np.arange(0, len(video), max(video.get_avg_fps(), 1)).astype(int)
    if len(seconds) > FRAMES:
        seconds = seconds[np.linspace(0, len(seconds) - 1, FRAMES).astype(int)]
    return video.get_batch(seconds.tolist()).asnumpy()


def preprocess_commonly(frames: np.ndarray) -> torch.Tensor:
    """Pillow frame by frame, then what torchvision's ToTensor does: float32 ``(n, 3, 224, 224)`` in [0, 1]."""
    import numpy as np
    import torch
    from PIL import Image
    tensors = []
    for frame in frames:
        image = Image.fromarray(frame)
        width, height = (SIZE * side // min(image.size) for side in image.size)
        left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
        image = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + SIZE, top + SIZE))
        tensors.append(torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255))
    return torch.stack(tensors)


# ---- the comparison ----

def compare_pipelines(items: list[dict], folder: Path, rounds: int) -> dict:
    """Clips per second of the common pipeline, of ours, and of ours from a cache."""
    from mmcma.datasets.video.cache import FrameCache
    from mmcma.registry import TRANSFORMS
    load, resize = map(TRANSFORMS.build, STEPS)
    pack = TRANSFORMS.build(dict(type='PackRetrievalInputs'))
    cache = FrameCache.create(folder, STEPS, quality=None, config='')
    agreement = agree(items, load, resize, cache)
    cached = TRANSFORMS.build(dict(type='LoadCachedFrames', cache=str(folder), steps=STEPS))
    times: dict[str, list[float]] = {'decode': [], 'resize and crop': [], 'pack': []}

    def ours(item: dict) -> None:
        results = dict(item)
        for name, step in zip(times, (load, resize, pack)):
            results = timed(lambda step=step, results=results: step(results), times[name])

    speeds = race(dict(common=lambda item: preprocess_commonly(decode_commonly(item['path'])), ours=ours,
                       cache=lambda item: pack(cached(dict(item)))), items, rounds)
    return dict(clips=len(items), rounds=rounds, torch_threads=1, **agreement,
                clips_per_second={side: spread(values) for side, values in speeds.items()},
                ratio_to_common={side: spread([ours / common for ours, common in zip(values, speeds['common'])])
                                 for side, values in speeds.items() if side != 'common'},
                our_milliseconds_a_clip={name: round(1000 * sum(values) / len(values), 2)
                                         for name, values in times.items()},
                decodes_of_a_test_set=count_decodes(items))


def agree(items: list[dict], load: Callable, resize: Callable, cache) -> dict:
    """Fills the cache and compares what the sides make of the clips, before anything is timed.

    Raises:
        DataError: When frames are preprocessed differently, or the cache gives others.
    """
    import numpy as np

    from mmcma.utils.errors import DataError
    same = 0
    for item in items:
        decoded = load(dict(item))
        frames = decoded['frames'][decoded['frame_mask']]
        ours = resize(dict(decoded))['frames'][decoded['frame_mask']]  # (n, 3, 224, 224)
        if not np.array_equal(ours, preprocess_commonly(frames).mul(255).round().byte().numpy()):
            raise DataError(f"{item['path']}: ResizeCrop and Pillow give different frames")
        cache.write(item['id'], ours)
        if not np.array_equal(cache.read(item['id']), ours):
            raise DataError(f"{item['path']}: the cache gives other frames")
        theirs = decode_commonly(item['path'])
        same += theirs.shape == frames.shape and \
            np.abs(theirs.astype(int) - frames).mean(axis=(1, 2, 3)).max() <= 1
    return dict(preprocessed_frames_differ_by=0, clips_whose_decoded_frames_agree_within_1=int(same))


def race(sides: dict[str, Callable], items: list[dict], rounds: int) -> dict[str, list[float]]:
    """Clips per second of each side in each round, after one round that is not counted."""
    speeds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, work in sides.items():
            start = time.process_time()
            for item in items:
                work(item)
            if number:
                speeds[side].append(len(items) / (time.process_time() - start))
    return speeds


def timed(work: Callable, seconds: list[float]):
    start = time.process_time()
    value = work()
    seconds.append(time.process_time() - start)
    return value


def spread(values: list[float]) -> dict[str, float]:
    return {name: round(of(values), 2) for name, of in (('median', median), ('min', min), ('max', max))}


def count_decodes(items: list[dict]) -> dict[str, int]:
    """Videos decoded for a test set in which each has 40 captions: one a caption, as is common, and by ours."""
    from mmcma.datasets import RetrievalDataset
    decoded = []

    class Clips(RetrievalDataset):
        def load_data_list(self) -> list[dict]:
            return [dict(item, captions=[f'{item["id"]} {number}' for number in range(40)]) for item in items]

    dataset = Clips(pipeline=[lambda results: decoded.append(results['path']) or results], test_mode=True)
    samples = [dataset[index] for index in range(len(dataset))]
    return dict(captions=sum(len(sample['captions']) for sample in samples), one_per_caption=40 * len(items),
                ours=len(decoded))


# ---- forms of a cache ----

def encode(frames: np.ndarray, quality: int | None) -> bytes:
    import numpy as np
    from PIL import Image
    file = io.BytesIO()
    if quality:
        Image.fromarray(frames.transpose(0, 2, 3, 1).reshape(-1, SIZE, 3)).save(
            file, 'JPEG', quality=quality, subsampling=0)
    else:
        np.save(file, frames)
    return file.getvalue()


def decode(data: bytes, quality: int | None) -> np.ndarray:
    import numpy as np
    from PIL import Image
    if not quality:
        return np.load(io.BytesIO(data))
    column = np.asarray(Image.open(io.BytesIO(data)))
    return np.ascontiguousarray(column.reshape(-1, SIZE, SIZE, 3).transpose(0, 3, 1, 2))


def write_folder(folder: Path, records: dict[str, bytes]) -> Callable[[str], bytes]:
    """A file an item."""
    from mmcma.utils.files import write_atomic
    for key, data in records.items():
        write_atomic(data, folder / key)
    return lambda key: (folder / key).read_bytes()


def write_lmdb(folder: Path, records: dict[str, bytes]) -> Callable[[str], bytes]:
    """LMDB, read through mmengine's backend, a transaction an item so that nothing written is lost."""
    import lmdb
    from mmengine.fileio import LmdbBackend
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2 * sum(map(len, records.values())) + 2**24) as database:
        for key, data in records.items():
            with database.begin(write=True) as transaction:
                transaction.put(key.encode(), data)
    return LmdbBackend(str(folder)).get


def write_shard(folder: Path, records: dict[str, bytes]) -> Callable[[str], bytes]:
    """One WebDataset tar; its reader goes from front to back, so each key is searched from where the last one was."""
    import webdataset
    folder.mkdir(parents=True)
    with webdataset.TarWriter(str(folder / '0.tar')) as shard:
        for key, data in records.items():
            shard.write({'__key__': key, 'frames': data})
    stream = iter(())

    def read(key: str) -> bytes:
        nonlocal stream
        for _ in range(2 * len(records)):
            sample = next(stream, None)
            if sample is None:
                stream = iter(webdataset.WebDataset(str(folder / '0.tar'), shardshuffle=False))
            elif sample['__key__'] == key:
                return sample['frames']
        raise KeyError(key)
    return read


STORES = dict(folder=write_folder, lmdb=write_lmdb, webdataset=write_shard)


def compare_stores(items: list[dict], folder: Path, rounds: int) -> dict:
    """Size, writing time, and reading speed in order and at random, of each store with and without JPEG."""
    import numpy as np

    from mmcma.registry import TRANSFORMS
    load, resize = map(TRANSFORMS.build, STEPS)
    clips = {}
    for number, item in enumerate(items):
        made = resize(load(dict(item)))
        clips[f'{number:06d}'] = made['frames'][made['frame_mask']]
    names = [name for name in STORES if name == 'folder' or find_spec(name)]
    found: dict[str, dict] = {}
    sides = {'in order': {}, 'at random': {}}
    orders = {'in order': list(clips), 'at random': random.Random(0).sample(list(clips), len(clips))}
    for name in names:
        for quality in (None, 95):
            label, seconds = f'{name}, {f"JPEG {quality}" if quality else "lossless"}', []
            records = timed(lambda quality=quality: {key: encode(frames, quality) for key, frames in clips.items()},
                            seconds)
            read = timed(lambda name=name, records=records, label=label: STORES[name](folder / label, records), seconds)
            errors = [np.abs(decode(records[key], quality).astype(int) - frames) for key, frames in clips.items()]
            found[label] = dict(
                megabytes_a_clip=round(sum(map(len, records.values())) / len(clips) / 1e6, 3),
                milliseconds_to_encode_and_write_a_clip=round(1000 * sum(seconds) / len(clips), 2),
                mean_error=round(float(np.mean([error.mean() for error in errors])), 3),
                greatest_error=max(int(error.max()) for error in errors))
            for order in sides:
                sides[order][label] = lambda key, read=read, quality=quality: decode(read(key), quality)
    for order, keys in orders.items():
        for label, speeds in race(sides[order], keys, rounds).items():
            found[label][f'clips_per_second_{order.replace(" ", "_")}'] = spread(speeds)
    return dict(clips=len(clips), rounds=rounds, stores=found)


if __name__ == '__main__':
    run_tool(main)
