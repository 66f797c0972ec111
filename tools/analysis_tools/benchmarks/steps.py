"""Training steps: of a config on its own data, or of a variant on a folder of random weights and data."""
import argparse
import tempfile
from collections.abc import Mapping
from multiprocessing import get_start_method
from pathlib import Path

import numpy as np
import torch
from make_random_clip import SIZES, write
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import BaseLoop, Runner
from transformers.utils import logging as hf_logging

from benchmarks.core import Workload
from benchmarks.products import Products
from benchmarks.variants import VARIANTS, size_of
from mmcma.config import check_config, load_config, parse_options
from mmcma.registry import LOOPS, MODELS
from mmcma.structures import RetrievalSample

DEFAULT_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


class Step(Workload):
    """A training step on the same batch again and again: forward, backward and optimizer.

    A subclass sets ``model``, on its device, and ``optimizer``; its ``work`` returns the loss.
    """

    def gradients(self) -> dict[str, torch.Tensor]:
        """The gradients that the optimizer gets, by our names of the parameters."""
        return {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}

    def ready(self) -> None:
        """Begins to account for memory: weights and batch are in use."""
        for parameter in self.model.parameters():
            parameter.detach().sum()  # weights that are mapped from a file are read now, and not in the first step
        super().ready()

    def first(self) -> tuple[float, dict[str, np.ndarray]]:
        """Does a step; its loss, and the gradients that the optimizer gets, which are clipped."""
        taken = {}
        handle = self.optimizer.register_step_pre_hook(lambda *_: taken.update(
            {name: gradient.float().cpu().numpy().copy() for name, gradient in self.gradients().items()}))
        loss = self.work()
        handle.remove()
        return loss, taken

    def flops(self) -> int:
        """Floating point operations of a step, products alone, as PyTorch counts them."""
        with Products() as counter:
            self.work()
        return counter.flops

    def weight_bytes(self) -> int:
        """Bytes of the weights."""
        return sum(p.numel() * p.element_size() for p in self.model.parameters())

    def trainable(self) -> int:
        """Number of parameters that train."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


@LOOPS.register_module()
class UntrainedLoop(BaseLoop):
    """Leaves the runner as it is when training begins."""
    max_epochs = max_iters = epoch = iter = 0

    def run(self) -> torch.nn.Module:
        """Lets the hooks do what they do before training."""
        self.runner.call_hook('before_train')
        return self.runner.model


class ConfigStep(Step):
    """A config's training step as the runner does it.

    What acts on a step is as in training: precision, compilation (``compile``), ``activation_checkpointing``, the
    optimizer and the clipping of gradients. Hooks that report, save or check take no part, nor does the schedule of
    the learning rate.

    Args:
        cfg: A whole config; its model and optimizer are built.
        batch: What the data loader would give.
        weights: Tensors to be loaded over the model's own.
    """

    def __init__(self, cfg: Config, batch: dict, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        self._batch = batch
        with tempfile.TemporaryDirectory() as folder:
            runner = Runner(
                model=cfg.model, work_dir=folder, train_dataloader=[batch], train_cfg=dict(type='UntrainedLoop'),
                optim_wrapper=cfg.optim_wrapper, custom_hooks=[dict(type='ActivationCheckpointHook')],
                default_hooks=dict.fromkeys(DEFAULT_HOOKS), randomness=dict(seed=0), log_level='ERROR',
                default_scope=cfg.get('default_scope', 'mmcma'), experiment_name=folder, cfg=cfg,
                env_cfg=dict(mp_cfg=dict(mp_start_method=get_start_method())))
            runner.train()
        self.model, self._optim_wrapper = runner.model, runner.optim_wrapper
        self.optimizer = self._optim_wrapper.optimizer
        self.model.load_state_dict(weights or {}, strict=False)
        self.model.train()
        self.ready()

    def work(self) -> float:
        """Does the step; returns the loss."""
        return self.model.train_step(self._batch, optim_wrapper=self._optim_wrapper)['loss'].item()


def step_of_config(path: Path, options: list[str], threads: int) -> ConfigStep:
    """The step of a config with options ``key=value`` on the first batch of its own data."""
    torch.set_num_threads(threads)
    cfg = load_config(str(path), parse_options(options))
    check_config(cfg)
    init_default_scope(cfg.get('default_scope', 'mmcma'))
    loader = dict(cfg.train_dataloader, num_workers=0, persistent_workers=False)
    return ConfigStep(cfg, next(iter(Runner.build_dataloader(loader, seed=0))))


def step_of_variant(folder: Path, name: str, size: str) -> ConfigStep:
    """The step of one of VARIANTS on the weights and the batch of a folder of :func:`write_job`, made for ``size``."""
    batch, variant = read_batch(folder), VARIANTS[name]
    cfg = load_config(str(variant.config(size)), {
        **variant.options, **_backbones(folder), 'model.data_preprocessor.max_words': batch['words']})
    samples = []
    for number, caption in enumerate(batch['captions']):
        sample = RetrievalSample(metainfo=dict(item_id=str(number), item_index=number, captions=[caption]))
        sample.frame_mask = torch.ones(batch['frames'].shape[1], dtype=torch.bool)
        sample.frame_captions = [caption] * len(sample.frame_mask)  # for a method that takes such
        samples.append(sample)
    adapters = torch.load(folder / 'adapters.pt', weights_only=True) if variant.tolerance else None
    return ConfigStep(cfg, dict(inputs=list(batch['frames']), data_samples=samples), adapters)


# ---- weights and data ----

def write_job(folder: Path, args: argparse.Namespace) -> None:
    """Writes the same random weights and batch for all variants: ``clip/``, ``adapters.pt`` and ``batch.pt``.

    Args:
        folder: Where to.
        args: ``backbone``, ``batch``, ``frames`` and ``words``; ``tiny`` for smallest sizes instead of the backbone's.
    """
    size = size_of(args)
    hf_logging.disable_progress_bar()
    write(size, folder / 'clip')
    generator = torch.Generator().manual_seed(0)
    write_adapters(folder, load_config(str(VARIANTS['float32'].config(size)), _backbones(folder)), generator)
    blocks = torch.randint(0, 256, (args.batch * args.frames, 3, 4, 4), generator=generator)
    frames = torch.nn.functional.interpolate(blocks.float(), SIZES[size][0]).byte()
    captions = [_caption(args.words - number % (args.words // 2), generator) for number in range(args.batch)]
    torch.save(dict(frames=frames.unflatten(0, (args.batch, args.frames)), captions=captions, words=args.words),
               folder / 'batch.pt')


def write_adapters(folder: Path, cfg: Config, generator: torch.Generator) -> None:
    """Writes ``adapters.pt``: random weights of the neck of a config's model."""
    neck = MODELS.build(cfg.model).neck
    torch.save({f'neck.{name}': 0.05 * torch.randn(tensor.shape, generator=generator)
                for name, tensor in neck.state_dict().items()}, folder / 'adapters.pt')


def _caption(tokens: int, generator: torch.Generator) -> str:
    """Letters, a token each, between the start and the end token."""
    letters = torch.randint(0, 26, (tokens - 2,), generator=generator)
    return ' '.join(chr(ord('a') + letter) for letter in letters)


def read_batch(folder: Path) -> dict:
    """``frames`` uint8 ``(B, T, 3, H, W)``, ``captions`` and the most ``words`` that they may have."""
    return torch.load(folder / 'batch.pt', weights_only=True)


def _backbones(folder: Path) -> dict:
    return {f'model.{tower}_backbone.pretrained': str(folder / 'clip') for tower in ('vision', 'text')}
