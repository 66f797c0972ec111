"""Which pretrained backbone a model stands on, and whether trained weights belong to it."""
import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

import transformers
from mmengine.logging import print_log

from mmcma.models import CrossModalRetriever
from mmcma.models.backbones.pretrained import weight_files
from mmcma.utils.digests import text_digest
from mmcma.utils.errors import WeightsError
from mmcma.utils.files import write_atomic

_OVERRIDE = 'allow_other_backbone=True (of FrozenParameterHook in a config, of load_trained in Python)'


def backbone_identity(model: CrossModalRetriever) -> dict[str, str | None]:
    """``name`` and ``fingerprint`` of the pretrained part, as they were when first asked for.

    Ask before training changes anything; the model remembers the answer.
    """
    if not hasattr(model, '_backbone_identity'):
        model._backbone_identity = dict(name=model.backbone_name, fingerprint=model.backbone_fingerprint())
    return dict(model._backbone_identity)


def recall_backbone(model: CrossModalRetriever) -> None:
    """Takes the identity of a model that was just built, from the user's cache where its weight files are as before.

    Reading a fingerprint there takes no time; making one, most of a second for a ViT-B. The cache holds a file of 32
    characters for each set of weight files (path, size and time of change), in ``$MMCMA_CACHE/fingerprints``
    (default: ``~/.cache/mmcma``).
    """
    towers = (model.vision_backbone, model.text_backbone)
    files = [weight_files(tower.source) if tower.source else [] for tower in towers]
    if not all(files):
        return
    stamps = [[(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in each] for each in files]
    key = text_digest(json.dumps([stamps, [type(tower).__name__ for tower in towers], transformers.__version__]))
    cache = Path(os.environ.get('MMCMA_CACHE') or '~/.cache/mmcma').expanduser() / 'fingerprints' / key
    if cache.is_file() and re.fullmatch('[0-9a-f]{32}', known := cache.read_text()):
        model._backbone_identity = dict(name=model.backbone_name, fingerprint=known)
        return
    try:
        write_atomic((backbone_identity(model)['fingerprint'] or '').encode(), cache)
    except OSError:  # a home that cannot be written to costs the time of a fingerprint
        pass


def check_backbone(theirs: Mapping, ours: Mapping, source: str, allow: bool) -> None:
    """Refuses what was trained on another backbone.

    Args:
        theirs: :func:`backbone_identity` that ``source`` holds; without a fingerprint it is taken, with a warning.
        ours: That of the model at hand.
        source: Where the trained weights came from, for the errors.
        allow: Warn instead of refusing.

    Raises:
        WeightsError: The fingerprints differ.
    """
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
