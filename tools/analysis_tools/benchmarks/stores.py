"""Forms in which a frame cache could be kept: a folder of files, LMDB or a WebDataset shard, with and without JPEG."""
import argparse
import io
import random
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import data
from benchmarks.core import spread
from mmcma.registry import TRANSFORMS
from mmcma.utils.files import write_atomic


def stores(args: argparse.Namespace) -> None:
    """Compares the stores, prints and saves."""
    data.measured(compare_stores, 'stores', args)


def compare_stores(items: list[dict], folder: Path, rounds: int) -> dict:
    """Size, writing time, and reading speed in order and at random, of each store with and without JPEG."""
    load, resize = map(TRANSFORMS.build, data.STEPS)
    clips = {}
    for number, item in enumerate(items):
        made = resize(load(dict(item)))
        clips[f'{number:06d}'] = made['frames'][made['frame_mask']]
    found, readers = {}, {}
    for name in (name for name in STORES if name == 'folder' or find_spec(name)):
        for quality in (None, 95):
            label = f'{name}, {f"JPEG {quality}" if quality else "lossless"}'
            began = time.process_time()
            records = {key: encode(frames, quality) for key, frames in clips.items()}
            read = STORES[name](folder / label, records)
            seconds = time.process_time() - began
            errors = [np.abs(decode(records[key], quality).astype(int) - frames) for key, frames in clips.items()]
            found[label] = dict(
                megabytes_a_clip=round(sum(map(len, records.values())) / len(clips) / 1e6, 3),
                milliseconds_to_encode_and_write_a_clip=round(1000 * seconds / len(clips), 2),
                mean_error=round(float(np.mean([error.mean() for error in errors])), 3),
                greatest_error=max(int(error.max()) for error in errors))
            readers[label] = lambda key, read=read, quality=quality: decode(read(key), quality)
    orders = dict(in_order=list(clips), at_random=random.Random(0).sample(list(clips), len(clips)))
    for order, keys in orders.items():
        for label, speeds in data.rates(readers, keys, rounds).items():
            found[label][f'clips_per_second_{order}'] = spread(speeds)
    return dict(clips=len(clips), rounds=rounds, stores=found)


def encode(frames: np.ndarray, quality: int | None) -> bytes:
    """Frames uint8 ``(n, 3, H, W)`` as an array file, or as one JPEG of all below each other."""
    file = io.BytesIO()
    if quality:
        column = frames.transpose(0, 2, 3, 1).reshape(-1, data.SIZE, 3)
        Image.fromarray(column).save(file, 'JPEG', quality=quality, subsampling=0)
    else:
        np.save(file, frames)
    return file.getvalue()


def decode(record: bytes, quality: int | None) -> np.ndarray:
    """The frames of :func:`encode`."""
    if not quality:
        return np.load(io.BytesIO(record))
    column = np.asarray(Image.open(io.BytesIO(record)))
    return np.ascontiguousarray(column.reshape(-1, data.SIZE, data.SIZE, 3).transpose(0, 3, 1, 2))


def write_folder(folder: Path, records: dict[str, bytes]) -> Callable[[str], bytes]:
    """Writes a file an item; returns what reads one."""
    for key, record in records.items():
        write_atomic(record, folder / key)
    return lambda key: (folder / key).read_bytes()


def write_lmdb(folder: Path, records: dict[str, bytes]) -> Callable[[str], bytes]:
    """LMDB, read through mmengine's backend, a transaction an item so that nothing written is lost."""
    import lmdb
    from mmengine.fileio import LmdbBackend
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2 * sum(map(len, records.values())) + 2**24) as database:
        for key, record in records.items():
            with database.begin(write=True) as transaction:
                transaction.put(key.encode(), record)
    return LmdbBackend(str(folder)).get


def write_shard(folder: Path, records: dict[str, bytes]) -> Callable[[str], bytes]:
    """One WebDataset tar; its reader goes from front to back, so each key is searched from where the last one was."""
    import webdataset
    folder.mkdir(parents=True)
    with webdataset.TarWriter(str(folder / '0.tar')) as shard:
        for key, record in records.items():
            shard.write({'__key__': key, 'frames': record})
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
