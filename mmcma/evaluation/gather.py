"""Brings the test samples of all ranks together, tensors as tensors.

mmengine's ``collect_results`` pickles everything to rank 0, which the features
of a large test set do not survive. Here only strings and sizes are pickled.
"""
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.dist import all_gather, get_comm_device, get_dist_info
from torch import Tensor

#: Rows of a tensor that travel at once: bounds the memory of a collective, on the device of NCCL above all.
ROWS_AT_ONCE = 65536


def gather_samples(samples: list[dict]) -> list[dict] | None:
    """The samples of all ranks on rank 0, None on the others.

    Args:
        samples: Dicts with the same keys everywhere; a rank may have none. Their
            tensors may differ in the first size only, from sample to sample.

    Returns:
        The samples of rank 0, then of rank 1 and so on, with tensors on the CPU.
    """
    rank, world_size = get_dist_info()
    if world_size == 1:
        return list(samples)
    plain = [{key: value for key, value in sample.items() if not isinstance(value, Tensor)}
             for sample in samples]
    tensors = {key: [sample[key] for sample in samples] for key in _tensor_keys(samples)}
    sizes = {key: [len(tensor) for tensor in values] for key, values in tensors.items()}
    shards: list[Any] = [None] * world_size
    torch_dist.gather_object((plain, sizes), shards if rank == 0 else None)
    columns = {key: _gather_rows(torch.cat(tensors[key]) if samples else None) for key in tensors}
    if rank != 0:
        return None
    gathered = []
    for number, (plain, sizes) in enumerate(shards):
        parts = {key: columns[key][number].split(sizes[key]) for key in columns if plain}
        gathered += [{**row, **{key: parts[key][i] for key in parts}} for i, row in enumerate(plain)]
    return gathered


def _tensor_keys(samples: list[dict]) -> list[str]:
    """Names of the samples' tensors, the same on each rank, also on one without samples."""
    mine = sorted(key for key, value in samples[0].items() if isinstance(value, Tensor)) if samples else None
    everyone: list[Any] = [None] * get_dist_info()[1]
    torch_dist.all_gather_object(everyone, mine)
    return next((keys for keys in everyone if keys is not None), [])


def _gather_rows(rows: Tensor | None) -> list[Tensor]:
    """The ``rows`` of each rank on rank 0, whatever their number; an empty list elsewhere."""
    everyone: list[Any] = [None] * get_dist_info()[1]
    torch_dist.all_gather_object(everyone, None if rows is None else (tuple(rows.shape[1:]), rows.dtype))
    shape, dtype = next(kind for kind in everyone if kind is not None)
    if rows is None:
        rows = torch.empty(0, *shape, dtype=dtype)
    counts = [int(count) for count in all_gather(torch.tensor(len(rows)))]
    is_first = get_dist_info()[0] == 0
    device = get_comm_device()
    received = [[rows.new_empty(0, *shape, device='cpu')] for _ in counts] if is_first else []
    for start in range(0, max(counts), ROWS_AT_ONCE):
        size = min(ROWS_AT_ONCE, max(counts) - start)
        block = torch.zeros(size, *shape, dtype=dtype, device=device)
        piece = rows[start:start + size]
        block[:len(piece)] = piece
        # Collectives want the same shape from every rank: the shorter ones are padded and cut again.
        landing = [torch.empty_like(block) for _ in counts] if is_first else None
        torch_dist.gather(block, landing)
        for number, got in enumerate(landing or ()):
            received[number].append(got[:max(0, counts[number] - start)].cpu())
    return [torch.cat(pieces) for pieces in received]
