"""How fast clips become what the model reads, against the common pipeline, on one core.

The common pipeline is decord on one thread, get_batch at 1 fps up to 12 frames, Pillow's resize and centre crop frame
by frame, and a float tensor; ours is LoadVideoFrames, ResizeCrop and PackRetrievalInputs, and the same from a frame
cache. First both preprocess the same frames, which must come out equal. Then the clips are gone through in turns, all
by one side and all by the next, and the ratios are taken within each round. A second is one of processor time, all
threads of the process together: that is what a core gives, and what else the machine does matters little.
"""
import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.core import add_to_file, race, ratios, spread, timed
from mmcma.datasets import RetrievalDataset
from mmcma.datasets.annotations.media_folder import VIDEO_SUFFIXES
from mmcma.datasets.video.cache import FrameCache
from mmcma.registry import TRANSFORMS
from mmcma.utils.errors import DataError

SIZE, FRAMES = 224, 12
STEPS = [dict(type='LoadVideoFrames', num_frames=FRAMES, fps=1.0), dict(type='ResizeCrop', size=SIZE)]


def data(args: argparse.Namespace) -> None:
    """Compares the pipelines, prints and saves."""
    measured(compare_pipelines, 'pipelines', args)


def measured(compare: Callable, part: str, args: argparse.Namespace) -> None:
    """Compares on one thread, with all clips and a folder to write to, prints and saves."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = compare(list_clips(args.clips), Path(folder), args.rounds)
    print(json.dumps(found, indent=1))
    command = f'python tools/analysis_tools/benchmark.py {args.command} --clips DIR --rounds {args.rounds}'
    add_to_file(args.out, part, dict(command=command, **found))


def list_clips(folder: Path) -> list[dict]:
    """Every video below a folder as an item of a test set.

    Raises:
        DataError: When there is none.
    """
    file = folder / 'captions.json'
    known = json.loads(file.read_text()) if file.exists() else []
    captions = {Path(clip['video']).stem: clip['captions'] for clip in known}
    paths = sorted(path for path in folder.rglob('*') if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise DataError(f"--clips {folder}: no videos ({' '.join(VIDEO_SUFFIXES)})")
    return [dict(id=str(path.relative_to(folder)), path=str(path), captions=captions.get(path.stem, ['a video']),
                 item_index=index) for index, path in enumerate(paths)]


# ---- the common pipeline ----

def decode_commonly(path: str) -> np.ndarray:
    """decord at 1 fps up to 12 frames: uint8 ``(n, H, W, 3)``."""
    import decord
    video = decord.VideoReader(path, num_threads=1)
    seconds = np.arange(0, len(video), max(video.get_avg_fps(), 1)).astype(int)
    if len(seconds) > FRAMES:
        seconds = seconds[np.linspace(0, len(seconds) - 1, FRAMES).astype(int)]
    return video.get_batch(seconds.tolist()).asnumpy()


def preprocess_commonly(frames: np.ndarray) -> torch.Tensor:
    """Pillow frame by frame, then what torchvision's ToTensor does: float32 ``(n, 3, 224, 224)`` in [0, 1]."""
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
    load, resize = map(TRANSFORMS.build, STEPS)
    pack = TRANSFORMS.build(dict(type='PackRetrievalInputs'))
    cache = FrameCache.create(folder, STEPS, quality=None, config='')
    agreement = agree(items, load, resize, cache)
    cached = TRANSFORMS.build(dict(type='LoadCachedFrames', cache=str(folder), steps=STEPS))
    times: dict[str, list[float]] = {'decode': [], 'resize and crop': [], 'pack': []}

    def ours(item: dict) -> None:
        results = dict(item)
        for name, step in zip(times, (load, resize, pack)):
            began = time.process_time()
            results = step(results)
            times[name].append(time.process_time() - began)

    speeds = rates(dict(common=lambda item: preprocess_commonly(decode_commonly(item['path'])), ours=ours,
                        cache=lambda item: pack(cached(dict(item)))), items, rounds)
    return dict(clips=len(items), rounds=rounds, torch_threads=1, **agreement,
                clips_per_second={side: spread(values) for side, values in speeds.items()},
                ratio_to_common={side: ratios(speeds[side], speeds['common']) for side in ('ours', 'cache')},
                our_milliseconds_a_clip={name: round(1000 * sum(values) / len(values), 2)
                                         for name, values in times.items()},
                decodes_of_a_test_set=count_decodes(items))


def rates(sides: dict[str, Callable], items: list, rounds: int) -> dict[str, list[float]]:
    """Items per second of processor time that each side does in each round."""
    def through_all(work: Callable) -> float:
        return len(items) / timed(lambda: [work(item) for item in items], clock=time.process_time)
    return race({side: lambda work=work: through_all(work) for side, work in sides.items()}, rounds=rounds)


def agree(items: list[dict], load: Callable, resize: Callable, cache: FrameCache) -> dict:
    """Fills the cache and compares what the sides make of the clips, before anything is timed.

    Raises:
        DataError: When frames are preprocessed differently, or the cache gives others.
    """
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


def count_decodes(items: list[dict]) -> dict[str, int]:
    """Videos decoded for a test set in which each has 40 captions: one a caption, as is common, and by ours."""
    decoded = []

    class Clips(RetrievalDataset):
        def load_data_list(self) -> list[dict]:
            return [dict(item, captions=[f'{item["id"]} {number}' for number in range(40)]) for item in items]

    dataset = Clips(pipeline=[lambda results: decoded.append(results['path']) or results], test_mode=True)
    captions = sum(len(dataset[index]['captions']) for index in range(len(dataset)))
    return dict(captions=captions, one_per_caption=40 * len(items), ours=len(decoded))
