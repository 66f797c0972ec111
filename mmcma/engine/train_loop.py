"""Training by epochs that can go on in the middle of one."""
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine import runner
from torch.utils.data import BatchSampler, DataLoader

from mmcma.registry import LOOPS
from mmcma.utils.errors import ConfigError


@LOOPS.register_module()
class EpochBasedTrainLoop(runner.EpochBasedTrainLoop):
    """mmengine's loop, which after resuming within an epoch does the rest of it and not the whole.

    The samples that were done are skipped by their indices and are not loaded.

    Raises:
        ConfigError: A run is resumed within an epoch, and its batches are not PyTorch's ``BatchSampler``.
    """

    def run_epoch(self) -> None:
        """Iterates over what is left of an epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self._iter - self._epoch * len(self.dataloader)
        with _without_first(done, self.dataloader):
            for index, batch in enumerate(self.dataloader, start=done):
                self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@contextmanager
def _without_first(batches: int, loader: DataLoader) -> Iterator[None]:
    """A context in which a loader gives what follows its first ``batches``; its length stays."""
    if batches == 0:
        yield
        return
    sampler = loader.batch_sampler
    if type(sampler) is not BatchSampler:
        raise ConfigError(f'train_dataloader.batch_sampler={type(sampler).__name__!r}: the checkpoint lies within an '
                          'epoch, and only batches of a plain sampler can be skipped; resume one that ends an epoch.')
    whole = sampler.sampler
    sampler.sampler = _Rest(whole, batches * sampler.batch_size)
    try:
        yield
    finally:
        sampler.sampler = whole


class _Rest:
    """A sampler without its first indices, as long as it was."""

    def __init__(self, sampler, first: int) -> None:
        self.sampler, self.first = sampler, first

    def __iter__(self) -> Iterator[int]:
        return iter(list(self.sampler)[self.first:])

    def __len__(self) -> int:
        return len(self.sampler)
