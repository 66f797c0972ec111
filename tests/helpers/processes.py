"""Processes of the tests. Each is forked from one that has imported what is heavy and has run nothing yet."""
import multiprocessing
import os
import pickle
import socket
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch

from mmcma.engine.distributed import start_processes, stop_processes

context = multiprocessing.get_context('forkserver')
context.set_forkserver_preload(['helpers.quick_mmengine', 'helpers.tiny_run', 'mmcma.cli.main', 'mmcma.engine',
                                'mmcma.models', 'transformers.models.clip.modeling_clip'])


def together(function: Callable, *args, count: int = 2) -> list:
    """What ``function(*args)`` returns in each of several processes on the CPU, told of each other as torchrun tells.

    Args:
        function: At the top of a module.
        args: Its arguments.
        count: How many processes.
    """
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        members = [pool.submit(_member, rank, count, port, function, args) for rank in range(count)]
        return [pickle.loads(member.result(timeout=300)) for member in members]


def in_group(function: Callable, *args, count: int = 2) -> list:
    """As :func:`together`, in one process group with gloo."""
    return together(_grouped, function, args, count=count)


def _member(rank: int, count: int, port: int, function: Callable, args: tuple) -> bytes:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count), MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='-1')
    return pickle.dumps(function(*args))  # here: tensors that multiprocessing sends go with their process


def _grouped(function: Callable, args: tuple) -> Any:
    start_processes('pytorch', dict(timeout=60))
    try:
        return function(*args)
    finally:
        stop_processes()
