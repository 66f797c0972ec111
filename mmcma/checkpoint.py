"""Checkpoints of a parameter-efficient run: what was trained, and on which backbone.

A file holds ``state_dict`` with the trained tensors only, ``backbone`` with
the name and fingerprint of the frozen rest, and mmengine's other entries
(``meta``, ``optimizer``, ``message_hub``, …).
"""
import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmcma.errors import WeightsError

_OVERRIDE = 'allow_other_backbone=True (of FrozenParameterHook in a config, of load_trained in Python)'


def trained_names(model: nn.Module) -> list[str]:
    """Names in ``model.state_dict()`` that training can change.

    These are the parameters with ``requires_grad`` and the persistent buffers
    of the neck, of the head, and of any module that owns such a parameter
    (running statistics).
    """
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for prefix, module in model.named_modules():
        own_training = any(p.requires_grad for p in module.parameters(recurse=False))
        if own_training or prefix.split('.')[0] in ('neck', 'head'):
            trained |= {f'{prefix}.{name}' for name, _ in module.named_buffers(recurse=False)}
    return [name for name in model.state_dict() if name in trained]


def trained_state(model: nn.Module, state_dict: Optional[Mapping[str, Tensor]] = None) -> dict[str, Tensor]:
    """The entries of ``state_dict`` (by default the model's) under :func:`trained_names`."""
    state_dict = model.state_dict() if state_dict is None else state_dict
    return {name: state_dict[name] for name in trained_names(model)}


def backbone_identity(model: nn.Module) -> dict[str, str]:
    """``name`` and ``fingerprint`` of the pretrained part, as they were when first asked for.

    Ask before training changes anything; the model remembers the answer.
    """
    if not hasattr(model, '_backbone_identity'):
        model._backbone_identity = dict(name=model.backbone_name, fingerprint=model.backbone_fingerprint())
    return dict(model._backbone_identity)


def read_checkpoint(path: Union[str, Path], map_location: str = 'cpu') -> dict:
    """A checkpoint file as a dict with ``state_dict``.

    Raises:
        WeightsError: The file is missing, unreadable, or no checkpoint.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f'checkpoint {str(path)!r} does not exist; the folder holds '
                           f'{sorted(file.name for file in path.parent.glob("*.pth")) or "no .pth file"}.')
    try:
        checkpoint = CheckpointLoader.load_checkpoint(str(path), map_location, logger='silent')
    except Exception as error:  # Unpickling arbitrary bytes raises almost anything.
        reason = ' '.join([type(error).__name__, *str(error).splitlines()[:1]])
        raise WeightsError(f'checkpoint {str(path)!r} cannot be read ({reason}): cut off, or no PyTorch '
                           'file.') from error
    if not isinstance(checkpoint, dict) or 'state_dict' not in checkpoint:
        raise WeightsError(f'checkpoint {str(path)!r} holds no state_dict: tools/train.py did not write it.')
    return checkpoint


def check_checkpoint(checkpoint: Mapping, model: nn.Module, *, source: str, identity: Optional[dict] = None,
                     allow_other_backbone: bool = False) -> None:
    """Refuses a checkpoint that does not fit the model.

    Args:
        checkpoint: With ``state_dict`` and ``backbone``.
        model: The retriever.
        source: Where the checkpoint came from, for the errors.
        identity: :func:`backbone_identity` of the model where it is known already.
        allow_other_backbone: Warn instead of refusing where the fingerprints differ.

    Raises:
        WeightsError: Another backbone; missing, unexpected or misshapen tensors.
    """
    _check_backbone(checkpoint.get('backbone') or {}, identity or backbone_identity(model), source,
                    allow_other_backbone)
    state, own = checkpoint['state_dict'], trained_state(model)
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    if missing or unexpected:
        raise WeightsError(f'{source} does not hold what this model trains: missing {_some(missing)}, '
                           f'unexpected {_some(unexpected)}. Use the config that it was trained with.')
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise WeightsError(f'{source}: {name} has shape {tuple(state[name].shape)}, this model needs '
                               f'{tuple(tensor.shape)}. Use the config that it was trained with.')


def _check_backbone(theirs: Mapping, ours: Mapping, source: str, allow: bool) -> None:
    if theirs.get('fingerprint') == ours['fingerprint']:
        return
    if theirs.get('fingerprint') is None:
        print_log(f'{source} does not say which backbone it was trained on; this model has {ours["name"]!r}.',
                  logger='current', level=logging.WARNING)
        return
    difference = (f'{source} was trained on backbone {_name(theirs)}, this model has {_name(ours)}')
    if not allow:
        raise WeightsError(f'{difference}. Use that backbone, or load it all the same with {_OVERRIDE}.')
    print_log(f'{difference}; loaded all the same, as asked.', logger='current', level=logging.WARNING)


def _name(backbone: Mapping) -> str:
    return f'{backbone.get("name")!r} (fingerprint {backbone["fingerprint"]})'


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return f'{names[:3]}{f" and {len(names) - 3} more" if len(names) > 3 else ""}' if names else 'nothing'


def load_trained(model: nn.Module, checkpoint: Union[str, Path, Mapping], *, source: str = 'the checkpoint',
                 allow_other_backbone: bool = False) -> None:
    """Loads the trained tensors of a checkpoint into a model with its pretrained backbone.

    Args:
        model: The retriever, as built from the checkpoint's config.
        checkpoint: File or its content.
        source: What errors call the content.
        allow_other_backbone: Load also what was trained on a backbone with another fingerprint.

    Raises:
        WeightsError: The checkpoint cannot be read or does not fit; see :func:`check_checkpoint`.
    """
    if not isinstance(checkpoint, Mapping):
        source, checkpoint = f'checkpoint {str(checkpoint)!r}', read_checkpoint(checkpoint)
    check_checkpoint(checkpoint, model, source=source, allow_other_backbone=allow_other_backbone)
    model.load_state_dict(checkpoint['state_dict'], strict=False)


def newest_checkpoint(work_dir: Union[str, Path]) -> Optional[Path]:
    """The furthest checkpoint of a run, of ``epoch_*.pth`` and ``iter_*.pth``; None if there is none.

    Files that cannot be read are passed over. mmengine's ``last_checkpoint``
    is not consulted: it is not written atomically.
    """
    furthest = []
    for kind in ('epoch', 'iter'):
        numbered = [(int(match[1]), path) for path in Path(work_dir).glob(f'{kind}_*.pth')
                    if (match := re.fullmatch(rf'{kind}_(\d+)\.pth', path.name))]
        for _, path in sorted(numbered, reverse=True):
            try:
                furthest.append((read_checkpoint(path)['meta']['iter'], path))
                break
            except WeightsError as error:
                print_log(f'passed over: {error}', logger='current', level=logging.WARNING)
    return max(furthest)[1] if furthest else None


def pin(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, str]:
    """Digest of each tensor's bytes, by name; it tells whether a tensor is still bit-identical."""
    return {name: _digest(tensor) for name, tensor in tensors}


def _digest(tensor: Tensor) -> str:
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.blake2b(raw.numpy(), digest_size=16).hexdigest()
