"""Checkpoints of a parameter-efficient run: what was trained, and on which backbone.

A file holds ``state_dict`` with the trained tensors only, ``backbone`` with
the name and fingerprint of the frozen rest, and mmengine's other entries
(``meta``, ``optimizer``, ``message_hub``, …).
"""
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader

from mmcma.checkpoints.identity import backbone_identity, check_backbone
from mmcma.models import CrossModalRetriever
from mmcma.models.trained_state import check_trained_state
from mmcma.utils.errors import WeightsError


def read_checkpoint(path: str | Path, map_location: str = 'cpu') -> dict:
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


def check_checkpoint(checkpoint: Mapping, model: CrossModalRetriever, *, source: str, identity: dict | None = None,
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
    check_backbone(checkpoint.get('backbone') or {}, identity or backbone_identity(model), source,
                    allow_other_backbone)
    check_trained_state(checkpoint['state_dict'], model, source)


def load_trained(model: CrossModalRetriever, checkpoint: str | Path | Mapping, *, source: str = 'the checkpoint',
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


def newest_checkpoint(work_dir: str | Path) -> Path | None:
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

