"""Which pretrained backbone a model stands on, and whether trained weights belong to it."""
import logging
from collections.abc import Mapping

from mmengine.logging import print_log

from mmcma.models import CrossModalRetriever
from mmcma.utils.errors import WeightsError

_OVERRIDE = 'allow_other_backbone=True (of FrozenParameterHook in a config, of load_trained in Python)'


def backbone_identity(model: CrossModalRetriever) -> dict[str, str | None]:
    """``name`` and ``fingerprint`` of the pretrained part, as they were when first asked for.

    Ask before training changes anything; the model remembers the answer.
    """
    if not hasattr(model, '_backbone_identity'):
        model._backbone_identity = dict(name=model.backbone_name, fingerprint=model.backbone_fingerprint())
    return dict(model._backbone_identity)


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
