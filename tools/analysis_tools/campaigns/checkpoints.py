"""Checkpoints with one flipped bit: what is read is what was written, or there is an error."""
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from campaigns import Outcome, Verdict
from mmcma.checkpoints.checkpoint_file import read_checkpoint
from mmcma.utils.errors import UserError, cause


def trials(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """A bit anywhere in the file of a training: tensors, optimizer, log, names, the archive's own tables."""
    generator, file = random.Random(seed), folder / 'epoch_1.pth'
    torch.save(_checkpoint(seed), file)
    whole, written = file.read_bytes(), read_checkpoint(file)
    for _ in range(count):
        place, bit = generator.randrange(len(whole)), generator.randrange(8)
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1:])
        flipped = f'bit {bit} of byte {place:,} of {len(whole):,}'
        try:
            equal = same(read_checkpoint(file), written)
            yield Outcome(Verdict.RIGHT if equal else Verdict.WRONG, flipped)
        except UserError as error:
            yield Outcome(Verdict.REFUSED, f'{flipped}: {error}')
        except Exception as error:
            yield Outcome(Verdict.CRASHED, f'{flipped}: {cause(error)}')


def _checkpoint(seed: int) -> dict[str, Any]:
    """What a training writes, with 0.3 MB of tensors."""
    torch.manual_seed(seed)
    adapters = torch.nn.ModuleList(torch.nn.Linear(64, 32) for _ in range(12))
    optimizer = torch.optim.AdamW(adapters.parameters(), lr=1e-3)
    sum(adapter(torch.randn(4, 64)).square().mean() for adapter in adapters).backward()
    optimizer.step()
    log = dict(log_scalars={'train/loss': HistoryBuffer([0.5, 0.25], [1, 1])}, resumed_keys={'train/loss': True},
               runtime_info=dict(epoch=1, eta=np.float64(0.5), best_ckpt='best.pth'))
    return dict(meta=dict(epoch=1, iter=12, seed=42, cfg=dict(model=dict(type='CrossModalRetriever'))), message_hub=log,
                state_dict=adapters.state_dict(), optimizer=optimizer.state_dict(), backbone=dict(name='x'))


def same(first: Any, second: Any) -> bool:
    """Whether two checkpoints hold the same, bit by bit."""
    if type(first) is not type(second):
        return False
    if isinstance(first, Mapping):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, HistoryBuffer):
        return all(np.array_equal(*both) for both in zip(first.data, second.data))
    if isinstance(first, Sequence) and not isinstance(first, str):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second
