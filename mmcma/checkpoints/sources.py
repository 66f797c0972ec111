"""What a model can be made from: a config, a checkpoint, an exported folder, or the name of a pretrained model."""
import os
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmcma.checkpoints.adapter_folder import is_adapter_folder, read_adapter_folder
from mmcma.checkpoints.checkpoint_file import checkpoint_config, read_checkpoint
from mmcma.checkpoints.config_data import check_registered
from mmcma.config import check_config, load_config, own_config
from mmcma.models.backbones.pretrained import may_be_on_the_hub, names_beside, read_config
from mmcma.utils.errors import ConfigError, WeightsError, did_you_mean, short

#: Short names of pretrained models: what :func:`zero_shot_config` takes.
NAMED: dict[str, dict[str, Any]] = {
    'tiny': dict(pretrained='mmcma/clip-tiny-glyphs', num_frames=8, fps=None, max_words=32)}


class ModelSource(NamedTuple):
    """A config, and what was trained.

    Attributes:
        config: Checked.
        checkpoint: ``state_dict`` and ``backbone``; None for the pretrained model as it is.
        name: What errors call it.
        requires: Modules that own parts come from; None for a config, which imports them itself.
    """
    config: Config
    checkpoint: dict | None
    name: str
    requires: list[str] | None


def is_data(source: str) -> bool:
    """Whether a source is data and no program: an exported folder, or a pretrained model's name or folder."""
    path = Path(source).expanduser()
    return is_adapter_folder(path) or path.suffix not in ('.py', '.pth', '.pt') and own_config(source) is None


def resolve_model(source: str | Path | Config, checkpoint: str | Path | None = None) -> ModelSource:
    """Reads where a model comes from, to be built; builds nothing.

    Args:
        source: A config, its file or its name; a checkpoint of ``tools/train.py``, which holds its config; a folder
            that ``mmcma export`` wrote; or, for a model without adapter, ``'tiny'``, a model's name on the
            Hugging Face Hub or its folder.
        checkpoint: What was trained, where the source is a config.

    Raises:
        ConfigError: The config is faulty, a part of it is not registered, or the source is none of these.
        WeightsError: A checkpoint or folder cannot be read.
    """
    found = read_source(source, checkpoint)
    check_source(found)
    return found


def check_source(found: ModelSource) -> None:
    """Refuses a config that holds what is not registered, or that cannot work.

    Raises:
        ConfigError: It does.
    """
    if found.requires is None:
        check_config(found.config)
    else:
        check_registered(found.config, found.requires, found.name)
        # What a checkpoint or a folder was trained on need not be known here.
        check_config(Config(dict(model=found.config.model)))


def read_source(source: str | Path | Config, checkpoint: str | Path | None = None) -> ModelSource:
    """What :func:`resolve_model` reads, with the same arguments, also where its own parts are not imported."""
    found = _read(source)
    if checkpoint is not None:
        if found.checkpoint is not None:
            raise ConfigError(f'{found.name} has its own weights: leave the checkpoint {str(checkpoint)!r} out, or '
                              'name a config beside it.')
        found = ModelSource(found.config, read_checkpoint(checkpoint), f'checkpoint {str(checkpoint)!r}',
                            found.requires)
    if 'model' not in found.config:
        raise ConfigError(f'{found.name} describes no model: it has {sorted(found.config)}.')
    return found


def _read(source: str | Path | Config) -> ModelSource:
    if isinstance(source, Config):
        return ModelSource(source, None, f'config {source.filename or ""}'.strip(), None)
    path, name = Path(source).expanduser(), str(source)
    if is_adapter_folder(path):
        config, checkpoint, requires = read_adapter_folder(path)
        return ModelSource(config, checkpoint, f'folder {name!r}', requires)
    if path.suffix in ('.pth', '.pt'):
        checkpoint = read_checkpoint(path)
        config, requires = checkpoint_config(checkpoint, name)
        return ModelSource(config, checkpoint, f'checkpoint {name!r}', requires)
    if path.suffix == '.py' or own_config(name) is not None:
        return ModelSource(load_config(path), None, f'config {name!r}', None)
    return ModelSource(_pretrained(path, name), None, f'model {name!r}', [])


def _pretrained(path: Path, name: str) -> Config:
    if name in NAMED:
        return zero_shot_config(**NAMED[name])
    if os.path.isdir(path) and not (path / 'config.json').is_file():
        raise WeightsError(f'folder {name!r} holds neither adapter_config.json (`mmcma export` writes it) nor '
                           f'config.json (a Hugging Face model); it has {sorted(p.name for p in path.iterdir())[:5]}.')
    if not os.path.isdir(path) and not may_be_on_the_hub(name):
        hint = did_you_mean(name, list(NAMED)) or names_beside(name)
        raise ConfigError(f'model {short(name)}: no such config (.py), checkpoint (.pth), folder, model on the Hugging '
                          f'Face Hub (owner/model) or one of {list(NAMED)}.{hint}')
    return zero_shot_config(name)


def zero_shot_config(pretrained: str, *, num_frames: int = 12, fps: float | None = 1.0,
                     max_words: int | None = None) -> Config:
    """A config for a pretrained model as it is, on videos and images of one's own.

    Args:
        pretrained: A model's name or folder, for :class:`~mmcma.models.HFVisionTower`.
        num_frames: Frames of a clip.
        fps: Frames to take per second; None takes all of the clip.
        max_words: Most tokens of a caption; None for the model's own limit.

    Raises:
        WeightsError: The model's config cannot be had.
    """
    pipeline = [dict(type='LoadVideoFrames', num_frames=num_frames, fps=fps),
                dict(type='ResizeCrop', size=read_config(pretrained).vision_config.image_size),
                dict(type='PackRetrievalInputs')]
    return Config(dict(
        model=dict(
            type='CrossModalRetriever',
            data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=max_words),
            vision_backbone=dict(type='HFVisionTower', pretrained=pretrained),
            text_backbone=dict(type='HFTextTower', pretrained=pretrained),
            head=dict(type='RetrievalHead', similarity=dict(type='QueryScore', temperature=5.0),
                      loss=dict(type='SymmetricInfoNCE'))),
        test_dataloader=dict(dataset=dict(type='CaptionedFiles', test_mode=True, pipeline=pipeline))))
