"""Where the numbers of a run come from, without paths of this machine where that can be helped."""
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import mmengine
import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from mmcma import __version__
from mmcma.checkpoints.identity import backbone_identity
from mmcma.engine.loops import unwrapped
from mmcma.utils.files import short_path


def run_facts(runner: Runner, checkpoint: Path | None) -> dict:
    """What :func:`~mmcma.engine.retrieval_report.write_report` takes as facts, all but ``seconds``.

    Args:
        runner: After a test; the model's backbone identity was asked for before anything changed it.
        checkpoint: The weights that were tested; None where the model came without.
    """
    model = unwrapped(runner.model)
    trainable = sum(parameter.numel() for parameter in model.trainable_parameters().values())
    total = sum(parameter.numel() for parameter in model.parameters())
    metainfo = getattr(runner.test_dataloader.dataset, 'metainfo', {})
    return dict(
        {key: metainfo.get(key) for key in ('dataset', 'split')},
        config=Path(runner.cfg.filename).name if runner.cfg.filename else None,
        checkpoint=short_path(checkpoint, Path(runner.work_dir)) if checkpoint else None,
        parameters=dict(trainable=trainable, total=total, share_percent=100 * trainable / total),
        seed=runner.seed, processes=get_world_size(),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
        versions=dict(mmcma=__version__, torch=str(torch.__version__), mmengine=mmengine.__version__,
                      transformers=version('transformers'), python=python_version()),
        backbone=_without_folders(backbone_identity(model)))


def _without_folders(identity: dict[str, str | None]) -> dict[str, str | None]:
    parts = [Path(part) for part in str(identity['name']).split(' + ')]
    return dict(identity, name=' + '.join(part.name if part.is_absolute() else str(part) for part in parts))
