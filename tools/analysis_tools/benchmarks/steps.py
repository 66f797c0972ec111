"""The training steps that are compared, each built in a process of its own from the same folder of weights and data."""
import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging as hf_logging

from benchmarks.paired import Apart, agree
from benchmarks.ways import EXACT, RELEASED, WAYS, size_of
from mmcma.config import load_config
from mmcma.engine.step_cost import PeakMemory, TrainingStep, timed
from mmcma.registry import MODELS
from mmcma.structures import RetrievalSample

# ---- weights and data ----

def write_job(folder: Path, args: argparse.Namespace) -> None:
    """Writes the same random weights and batch for all ways: ``clip/``, ``adapters.pt`` and ``batch.pt``.

    Args:
        folder: Where to.
        args: ``backbone``, ``batch``, ``frames`` and ``words``; ``tiny`` for smallest sizes instead of the backbone's.
    """
    from make_random_clip import SIZES, write
    size = size_of(args)
    hf_logging.disable_progress_bar()
    write(size, folder / 'clip')
    generator = torch.Generator().manual_seed(0)
    cfg = load_config(str(WAYS['float32'].config(size)), _weights(folder))
    adapters = {f'neck.{name}': 0.05 * torch.randn(tensor.shape, generator=generator)
                for name, tensor in MODELS.build(cfg.model).neck.state_dict().items()}
    torch.save(adapters, folder / 'adapters.pt')
    blocks = torch.randint(0, 256, (args.batch * args.frames, 3, 4, 4), generator=generator)
    frames = torch.nn.functional.interpolate(blocks.float(), SIZES[size][0]).byte()
    captions = [_caption(args.words - number % (args.words // 2), generator) for number in range(args.batch)]
    torch.save(dict(frames=frames.unflatten(0, (args.batch, args.frames)), captions=captions, words=args.words),
               folder / 'batch.pt')


def _caption(tokens: int, generator: torch.Generator) -> str:
    """Letters, a token each, between the start and the end token."""
    letters = torch.randint(0, 26, (tokens - 2,), generator=generator)
    return ' '.join(chr(ord('a') + letter) for letter in letters)


def read_batch(folder: Path) -> dict:
    """``frames`` uint8 ``(B, T, 3, H, W)``, ``captions`` and the most ``words`` that they may have."""
    return torch.load(folder / 'batch.pt', weights_only=True)


def _weights(folder: Path) -> dict:
    return {f'model.{tower}_backbone.pretrained': str(folder / 'clip') for tower in ('vision', 'text')}


# ---- steps ----

class MeasuredStep:
    """A training step on the same batch again and again: forward, backward and optimizer.

    A subclass sets the attributes, ends its constructor with :meth:`ready`, and defines :meth:`step`.

    Attributes:
        model: With its weights on the device.
        optimizer: What changes them.
    """
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')

    def step(self) -> float:
        """Does the step; returns the loss."""
        raise NotImplementedError

    def gradients(self) -> dict[str, torch.Tensor]:
        """By the names of our adapters' parameters."""
        return {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}

    def ready(self) -> None:
        """Begins to account for memory: weights and batch are in use."""
        for parameter in self.model.parameters():
            parameter.detach().sum()  # weights that are mapped from a file are read now, and not in the first step
        self._memory = PeakMemory()

    def first(self) -> tuple[float, dict[str, np.ndarray]]:
        """Does a step; its loss, and the gradients that the optimizer gets, which are clipped."""
        taken = {}
        handle = self.optimizer.register_step_pre_hook(lambda *_: taken.update(
            {name: gradient.float().cpu().numpy().copy() for name, gradient in self.gradients().items()}))
        loss = self.step()
        handle.remove()
        return loss, taken

    def seconds(self) -> float:
        """Does a step; returns its seconds."""
        return timed(self.step)

    def peak(self) -> int:
        """Does a step; returns the most bytes in use during it beyond weights and batch."""
        self._memory.restart()
        self.step()
        return self._memory.peak()

    def weights(self) -> int:
        """Bytes of the weights."""
        return sum(p.numel() * p.element_size() for p in self.model.parameters())


class OurStep(MeasuredStep):
    """The step of one of our configs.

    Args:
        folder: Of :func:`write_job`.
        way: Name in WAYS.
        size: Of ``make_random_clip.SIZES``, as the folder's.
    """

    def __init__(self, folder: Path, way: str, size: str) -> None:
        batch = read_batch(folder)
        cfg = load_config(str(WAYS[way].config(size)), {
            **WAYS[way].options, **_weights(folder), 'model.data_preprocessor.max_words': batch['words']})
        samples = []
        for number, caption in enumerate(batch['captions']):
            sample = RetrievalSample(metainfo=dict(item_id=str(number), item_index=number, captions=[caption]))
            sample.frame_mask = torch.ones(batch['frames'].shape[1], dtype=torch.bool)
            samples.append(sample)
        self.step = TrainingStep(cfg, dict(inputs=list(batch['frames']), data_samples=samples))
        self.model, self.optimizer = self.step.model, self.step.optim_wrapper.optimizer
        if self.model.neck is not None:
            self.model.load_state_dict(torch.load(folder / 'adapters.pt', weights_only=True), strict=False)
        self.ready()


# ---- the ways together ----

def open_step(name: str, folder: Path, args: argparse.Namespace) -> Apart:
    """The process of a way.

    Args:
        name: Of :func:`~benchmarks.ways.way_names`.
        folder: Of :func:`write_job`.
        args: ``backbone``, ``tiny`` and ``official``.
    """
    if name == RELEASED:
        from benchmarks.official import ReleasedStep
        return Apart(ReleasedStep, args.official, folder, half=torch.cuda.is_available())
    return Apart(OurStep, folder, name, size_of(args))


def compare(firsts: Mapping[str, tuple[float, dict]]) -> dict[str, dict[str, float]]:
    """Relative errors of each way's loss and of its whole gradient, against the first of those that train adapters.

    Args:
        firsts: What each way's :meth:`MeasuredStep.first` gave.

    Raises:
        DataError: A way is further off than its tolerance.
    """
    reference, errors = None, {}
    for name, (loss, gradients) in firsts.items():
        tolerance = EXACT if name == RELEASED else WAYS[name].tolerance
        if tolerance is None:
            continue
        whole = np.concatenate([gradients[key].ravel() for key in sorted(gradients)])
        found = dict(loss=np.array(loss), gradient=whole)
        reference = reference or found
        errors[name] = {part: agree({part: found[part]}, {part: reference[part]}, tolerance=limit, what=name)
                        for part, limit in zip(found, tolerance)}
        print(f'{name}: loss {loss:.6f}, off by {errors[name]["loss"]:.1g}; gradient by {errors[name]["gradient"]:.1g}')
    return errors
