"""Checkpoints of a parameter-efficient run: what was trained, and on which backbone.

A file holds ``state_dict`` with the trained tensors only, ``backbone`` with
the name and fingerprint of the frozen rest, and mmengine's other entries
(``meta``, ``optimizer``, ``message_hub``, …).
"""
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor

from mmcma.checkpoints.config_data import imports_of, loaded_config, parse_config_text
from mmcma.checkpoints.identity import backbone_identity, check_backbone
from mmcma.models import CrossModalRetriever
from mmcma.models.trained_state import check_trained_state
from mmcma.utils.errors import WeightsError, short
from mmcma.utils.plain_loading import UntrustedError, are_trusted, load_plain, refused


def read_checkpoint(path: str | Path, map_location: str = 'cpu') -> dict:
    """A checkpoint file as a dict with ``state_dict``.

    Raises:
        WeightsError: The file is missing, unreadable, damaged, or no checkpoint.
        UntrustedError: It holds other objects than tensors and plain data.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f'checkpoint {str(path)!r} does not exist; the folder holds '
                           f'{sorted(file.name for file in path.parent.glob("*.pth")) or "no .pth file"}.')
    checkpoint = load_plain(path, map_location)
    state = checkpoint.get('state_dict') if isinstance(checkpoint, dict) else None
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f'checkpoint {str(path)!r} holds no state_dict of tensors: tools/train.py did not write it.')
    if not isinstance(checkpoint.get('backbone', {}), Mapping):
        raise WeightsError(f'checkpoint {str(path)!r}: backbone={short(checkpoint["backbone"])} names no backbone.')
    return checkpoint


def check_resumable(checkpoint: Mapping, path: str | Path) -> None:
    """Refuses a checkpoint that training cannot go on from.

    Args:
        checkpoint: From :func:`read_checkpoint`.
        path: Its file, for the error.

    Raises:
        WeightsError: It holds weights without the state of a training.
    """
    meta = checkpoint.get('meta')
    known = isinstance(meta, Mapping) and all(isinstance(meta.get(name), int) for name in ('epoch', 'iter'))
    if not known or not isinstance(checkpoint.get('message_hub'), Mapping):
        raise WeightsError(f'checkpoint {str(path)!r} holds weights without the state of a training (meta.epoch, '
                           'meta.iter, message_hub): begin a new training from it, with load_from in the config.')


def checkpoint_config(checkpoint: Mapping, name: str) -> tuple[Config, list[str]]:
    """The config that a checkpoint holds as data, and the modules that its own parts come from.

    Checkpoints of before held a program: one that is literals alone is read as data, another within
    :func:`~mmcma.utils.plain_loading.trusted_checkpoints` only, where it is run.

    Args:
        checkpoint: From :func:`read_checkpoint`.
        name: What errors call it.

    Raises:
        WeightsError: It holds no config.
        UntrustedError: It would have to be run.
        ConfigError: The config names what would be imported.
    """
    meta = checkpoint.get('meta')
    content = meta.get('cfg') if isinstance(meta, Mapping) else None
    if content is None:
        raise WeightsError(f'checkpoint {name!r} does not hold its config: name the config too.')
    if isinstance(content, str):
        try:
            content = parse_config_text(content)
        except ValueError as error:
            if not are_trusted():
                raise refused(f'checkpoint {name!r} holds its config as a program ({error})') from error
            content = Config.fromstring(content, '.py').to_dict()
    return loaded_config(content, f'checkpoint {name!r}', 'a checkpoint'), imports_of(content)


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


def newest_checkpoint(work_dir: str | Path) -> tuple[Path, dict] | None:
    """File and content of the furthest checkpoint of a run, of ``epoch_*.pth`` and ``iter_*.pth``; None without any.

    Files that cannot be read are passed over. mmengine's ``last_checkpoint``
    is not consulted: it is not written atomically.

    Raises:
        UntrustedError: The furthest of a kind can be read by running what it brings only.
    """
    furthest = []
    for kind in ('epoch', 'iter'):
        numbered = [(int(match[1]), path) for path in Path(work_dir).glob(f'{kind}_*.pth')
                    if (match := re.fullmatch(rf'{kind}_(\d+)\.pth', path.name))]
        for _, path in sorted(numbered, reverse=True):
            try:
                checkpoint = read_checkpoint(path)
                furthest.append((_iterations(checkpoint, path), path, checkpoint))
                break
            except UntrustedError:  # no damage: whoever resumes decides
                raise
            except WeightsError as error:
                print_log(f'passed over: {error}', logger='current', level=logging.WARNING)
    return max(furthest)[1:] if furthest else None


def _iterations(checkpoint: Mapping, path: Path) -> int:
    meta = checkpoint.get('meta')
    done = meta.get('iter') if isinstance(meta, Mapping) else None
    if not isinstance(done, int):
        raise WeightsError(f'checkpoint {str(path)!r} does not say how far training was (meta.iter={short(done)}).')
    return done
