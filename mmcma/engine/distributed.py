"""Several processes: one per GPU with NCCL, or several on a CPU-only machine with gloo."""
import os
import subprocess
import warnings
from collections.abc import Mapping
from datetime import timedelta

import torch
from mmengine._strategy import FSDPStrategy as _FSDPStrategy
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import STRATEGIES
from torch import distributed, nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmcma.registry import MODEL_WRAPPERS
from mmcma.utils.errors import ConfigError

#: Where each launcher says rank, world size and the rank within the machine.
_LAUNCHERS = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


@MODEL_WRAPPERS.register_module()
class RetrieverDataParallel(MMDistributedDataParallel):
    """mmengine's distributed wrapper, also for a model on the CPU, where PyTorch takes no ``device_ids``.

    Buffers are not broadcast: those of the retriever do not change.
    """

    def __init__(self, module: nn.Module, device_ids: list[int] | None = None, **kwargs) -> None:
        on_gpu = next(module.parameters()).is_cuda
        with warnings.catch_warnings():  # From 2.15 on, PyTorch has a new name for broadcast_buffers.
            warnings.simplefilter('ignore', FutureWarning)
            super().__init__(module=module, device_ids=device_ids if on_gpu else None,
                             **{'broadcast_buffers': False, **kwargs})


@STRATEGIES.register_module(force=True)  # a strategy is built before there is a scope to look in
class FSDPStrategy(_FSDPStrategy):
    """mmengine's strategy of sharded training, which can also be resumed.

    mmengine gives PyTorch the arguments in the order of before PyTorch 2.1, so that ``--resume`` ends in a traceback.
    """

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Takes this process's share of an optimizer's state.

        Args:
            state_dict: The whole one, as the checkpoint has it.
        """
        optimizer = self.optim_wrapper.optimizer
        self.optim_wrapper.load_state_dict(
            FullyShardedDataParallel.optim_state_dict_to_load(self.model, optimizer, state_dict))


def start_processes(launcher: str, dist_cfg: Mapping | None = None) -> None:
    """Joins the process group on a machine without GPUs, where mmengine's own start fails.

    Args:
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        dist_cfg: The config's ``env_cfg.dist_cfg``; of it ``timeout`` (seconds) is used.

    Raises:
        ConfigError: The launcher's environment variables are missing, or there
            are more processes on this machine than GPUs.
    """
    if launcher == 'none':
        return
    rank, world_size, local_rank = (_read(variable, launcher) for variable in _LAUNCHERS[launcher])
    if torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise ConfigError(f'process {local_rank} of this machine has no GPU of its own, there are '
                              f'{torch.cuda.device_count()}: start as many processes as GPUs, or set '
                              'CUDA_VISIBLE_DEVICES=-1 to train on the CPU.')
        return
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size), LOCAL_RANK=str(local_rank))
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_node() if launcher == 'slurm' else '127.0.0.1'
    timeout = (dist_cfg or {}).get('timeout')
    distributed.init_process_group('gloo', timeout=timedelta(seconds=timeout) if timeout else None)


def stop_processes() -> None:
    """Leaves the process group, if there is one."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _read(variable: str, launcher: str) -> int:
    if variable not in os.environ:
        raise ConfigError(f'--launcher {launcher} needs the environment variable {variable}: start through '
                          'tools/dist_train.sh, tools/dist_test.sh, srun or mpirun.')
    return int(os.environ[variable])


def _first_slurm_node() -> str:
    names = subprocess.run(['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']],
                           check=True, capture_output=True, text=True)
    return names.stdout.split()[0]
