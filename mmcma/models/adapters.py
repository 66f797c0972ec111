"""Several adapters on one pair of towers, one of them in force."""
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config

from mmcma.checkpoint import backbone_identity, load_trained
from mmcma.errors import ConfigError, WeightsError, did_you_mean
from mmcma.model_source import find_model
from mmcma.models.necks.base import further_neck

#: All of a model but its towers, as attributes: what one adapter is made of.
_PARTS = ('data_preprocessor', 'neck', 'head', 'precision', 'cfg')


class SwitchedAdapters:
    """What a retriever can do with several adapters.

    An adapter is all of a model but its towers. The model's attributes are
    those of the adapter in force; the others wait outside of the tree of
    modules, so that the state dict is that of a model with one adapter.

    Attributes:
        cfg: The config that the adapter in force was built from; None where the model was built without one.
        active_adapter: Its name; ``'default'`` for the one that the model was built with.
    """
    cfg: Optional[Config] = None
    active_adapter: str = 'default'

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self._waiting: dict[str, dict[str, Any]] = {}

    @property
    def adapter_names(self) -> list[str]:
        """Of all adapters that the model has."""
        return sorted([self.active_adapter, *self._waiting])

    def load_adapter(self, name: str, source: Union[str, Path], *, allow_other_backbone: bool = False) -> None:
        """Adds an adapter beside those that are there; :meth:`adapter` puts it in force.

        It may be of another method, size and head. It shares the towers, and
        adds its own tensors to the memory.

        Args:
            name: What to call it.
            source: A folder that ``mmcma export`` wrote, or a checkpoint of ``tools/train.py``.
            allow_other_backbone: Load also what was trained on a backbone with another fingerprint.

        Raises:
            ConfigError: The name is taken, or this model's own towers train.
            WeightsError: The source cannot be read, does not fit, or is fine-tuned in its towers.
        """
        if name in self.adapter_names:
            raise ConfigError(f'adapter {name!r} is there already; choose another name than {self.adapter_names}.')
        found = find_model(source)
        self._check_shareable(found.checkpoint, found.name)
        towers = dict(vision_backbone=self.vision_backbone, text_backbone=self.text_backbone)
        own = {key: value for key, value in found.config.model.items() if key not in (*towers, 'type')}
        with further_neck(*towers.values()):
            twin = type(self)(**towers, **own)
            twin._backbone_identity = backbone_identity(self)
            load_trained(twin, found.checkpoint, source=found.name, allow_other_backbone=allow_other_backbone)
        twin.cfg = found.config
        twin.to(self.data_preprocessor.device).eval()
        self._waiting[name] = twin._set_aside()

    @contextmanager
    def adapter(self, name: str):
        """Within it the adapter ``name`` is in force; not for several threads at once.

        Raises:
            ConfigError: There is none of that name.
        """
        before = self.active_adapter
        self.use_adapter(name)
        try:
            yield self
        finally:
            self.use_adapter(before)

    def use_adapter(self, name: str) -> None:
        """Puts the adapter ``name`` in force, until another is.

        Raises:
            ConfigError: There is none of that name.
        """
        if name == self.active_adapter:
            return
        if name not in self._waiting:
            raise ConfigError(f'adapter {name!r} is not loaded; there are {self.adapter_names}.'
                              f'{did_you_mean(name, self.adapter_names)}')
        device = self.data_preprocessor.device
        self._waiting[self.active_adapter] = self._set_aside()
        self._take(self._waiting.pop(name))
        self.active_adapter = name
        if self.data_preprocessor.device != device:  # the model has moved since
            self.to(device)

    def _set_aside(self) -> dict[str, Any]:
        enabled = self.neck is not None and self.neck.enabled
        if self.neck is not None:
            self.neck.enable(False)
        return dict(enabled=enabled, **{part: getattr(self, part) for part in _PARTS})

    def _take(self, adapter: dict[str, Any]) -> None:
        for part in _PARTS:
            setattr(self, part, adapter[part])
        if self.neck is not None:
            self.neck.enable(adapter['enabled'])

    def _check_shareable(self, checkpoint: Optional[dict], source: str) -> None:
        for name in ('vision_backbone', 'text_backbone'):
            if getattr(self, name).trainable_parameters():
                raise ConfigError(f'model.{name} of this model trains itself, so that adapters of the pretrained one '
                                  'do not fit it: begin with a model whose towers are frozen.')
        if checkpoint is None:
            raise WeightsError(f'{source} holds no trained weights; load a checkpoint, or a folder of `mmcma export`.')
        towers = sorted(key for key in checkpoint['state_dict'] if not key.startswith(('neck.', 'head.')))
        if towers:
            raise WeightsError(f'{source} has trained weights of the towers ({towers[0]}, {len(towers)} in all): such '
                               'a model shares its backbone with no other. Open it alone, with init_model.')
