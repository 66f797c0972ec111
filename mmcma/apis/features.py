"""Embeddings of a test set as files, for other programs."""
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import barrier, get_dist_info, is_main_process
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmcma.apis.model import init_model
from mmcma.checkpoints.identity import backbone_identity
from mmcma.config import building
from mmcma.registry import DATASETS
from mmcma.structures import padded
from mmcma.utils.digests import file_digest, text_digest
from mmcma.utils.errors import ConfigError
from mmcma.utils.files import write_atomic

FORMATS = ('npy', 'safetensors')
#: Items of a part: what a killed run loses at most, in each process.
ITEMS_OF_PART = 256


@torch.inference_mode()
def extract_features(config: Config, checkpoint: str | Path | None, out: str | Path, *, file_format: str = 'npy',
                     progress: Callable[[int, int], None] = lambda done, total: None) -> bool:
    """Encodes the test set of a config, M items with N captions, and writes into ``out``:

    * ``visual`` float32 ``(M, T, D)``, an embedding for each frame, not normalised; padded at the end;
    * ``frame_mask`` bool ``(M, T)``, False where padded;
    * ``text`` float32 ``(N, D)``, an embedding for each caption, item after item, not normalised;
    * ``caption_item`` int64 ``(N,)``, the row of ``visual`` that each caption describes;
    * ``features.json`` with ``ids`` (M), ``captions`` (N) and what they were made of.

    Every part of the set is kept as it is done, so that a run that was stopped goes on. In a process group each
    process takes its share of the parts; ``out`` must be one folder for all. The values do not depend on the number
    of processes: a batch has the same items for any.

    Args:
        config: Its ``test_dataloader`` says what is encoded, in which batches and with how many workers.
        checkpoint: What was trained; None for the model as it is, zero-shot.
        out: A new folder, or one in which the same was begun.
        file_format: ``'npy'``, a file for each array, or ``'safetensors'``, one ``features.safetensors``.
        progress: Called with the items done and to do in this process.

    Returns:
        Whether anything was to do.

    Raises:
        ConfigError: The folder has features of something else, or the config cannot be built.
        WeightsError: The checkpoint does not fit.
    """
    out, loader = Path(out).expanduser(), config.test_dataloader
    model = init_model(config, checkpoint)
    with building(config):
        dataset = DATASETS.build(loader.dataset)
    origin = dict(format=file_format, backbone=backbone_identity(model)['fingerprint'],
                  checkpoint=file_digest(Path(checkpoint)) if checkpoint else None,
                  model=text_digest(repr(config.model.to_dict())), data=text_digest(repr(loader.dataset.to_dict())),
                  batch_size=loader.batch_size)
    if _begun(out, origin):
        return False
    parts = _parts(len(dataset), out / 'parts')
    rank, world_size = get_dist_info()
    todo = [(part, file) for part, file in parts[rank::world_size] if not file.is_file()]
    _encode(todo, model, dataset, loader, progress)
    barrier()
    if is_main_process():
        _join([file for _, file in parts], out, origin)
    barrier()
    return True


def _begun(out: Path, origin: dict) -> bool:
    """Whether the folder has these features already; if not, it is made ready for their parts."""
    for file in (out / 'features.json', out / 'parts' / 'origin.json'):
        if file.is_file():
            found = json.loads(file.read_text())
            other = [key for key, value in origin.items() if found.get(key) != value]
            if other:
                raise ConfigError(f'{out} has features of another {" and ".join(other)} (see {file}): choose another '
                                  'folder.')
            if 'ids' in found:
                return True
    if not (out / 'parts').is_dir() and out.is_dir() and any(out.iterdir()):
        raise ConfigError(f'{out} is not empty and has no features: choose another folder.')
    if is_main_process():
        write_atomic(json.dumps(origin).encode(), out / 'parts' / 'origin.json')
    return False


def _parts(num_items: int, folder: Path) -> list[tuple[range, Path]]:
    starts = range(0, num_items, ITEMS_OF_PART)
    return [(range(start, min(start + ITEMS_OF_PART, num_items)), folder / f'{number:06d}.safetensors')
            for number, start in enumerate(starts)]


def _encode(todo: Sequence[tuple[range, Path]], model, dataset: Dataset, loader: Config,
            progress: Callable[[int, int], None]) -> None:
    batches = [list(part[start:start + loader.batch_size]) for part, _ in todo
               for start in range(0, len(part), loader.batch_size)]
    batch = iter(DataLoader(dataset, batch_sampler=batches, num_workers=loader.get('num_workers', 0),
                            collate_fn=pseudo_collate))
    done, total = 0, sum(len(part) for part, _ in todo)
    with nullcontext() if model.neck is not None else model.zero_shot():
        for part, file in todo:
            samples: list = []
            while len(samples) < len(part):
                samples += model.test_step(next(batch))
                progress(done + len(samples), total)
            done += len(part)
            items = [dict(id=sample.item_id, captions=sample.captions) for sample in samples]
            write_atomic(save(_arrays(samples), dict(items=json.dumps(items))), file)


def _arrays(samples: Sequence) -> dict[str, Tensor]:
    visual, mask = padded([sample.visual_tokens.float() for sample in samples])  # (m, T, D), (m, T)
    for row, sample in zip(mask, samples):
        if sample.get('frame_mask') is not None:
            row[:len(sample.frame_mask)] &= torch.as_tensor(sample.frame_mask)
    return dict(visual=visual, frame_mask=mask, text=torch.cat([sample.text_pooled.float() for sample in samples]))


def _join(files: Sequence[Path], out: Path, origin: dict) -> None:
    """Writes the arrays of all parts and takes the parts away; ``features.json`` comes last."""
    opened = [safe_open(file, 'pt') for file in files]
    items = [item for part in opened for item in json.loads(part.metadata()['items'])]
    visual, mask = padded([row for part in opened for row in part.get_tensor('visual')])
    for number, row in enumerate(row for part in opened for row in part.get_tensor('frame_mask')):
        mask[number, :len(row)] = row
    counts = torch.tensor([len(item['captions']) for item in items])
    arrays = dict(visual=visual, frame_mask=mask, text=torch.cat([part.get_tensor('text') for part in opened]),
                  caption_item=torch.arange(len(items)).repeat_interleave(counts))
    for name, data in _files(arrays, origin['format']):
        write_atomic(data, out / name)
    captions = [caption for item in items for caption in item['captions']]
    facts = dict(origin, ids=[item['id'] for item in items], captions=captions)
    write_atomic((json.dumps(facts, indent=1, ensure_ascii=False) + '\n').encode(), out / 'features.json')
    shutil.rmtree(out / 'parts')


def _files(arrays: dict[str, Tensor], file_format: str) -> Iterator[tuple[str, bytes]]:
    if file_format == 'safetensors':
        yield 'features.safetensors', save(arrays)
        return
    for name, tensor in arrays.items():
        buffer = BytesIO()
        np.save(buffer, tensor.numpy())
        yield f'{name}.npy', buffer.getvalue()
