"""Several adapters on one pair of towers, one of them active."""
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor

from mmcma.models.backbones.tower import TextTower, VisionTower
from mmcma.models.data_preprocessor import RetrievalDataPreprocessor
from mmcma.models.heads.retrieval_head import RetrievalHead
from mmcma.models.necks.base import Neck, unclaimed
from mmcma.models.trained_state import check_trained_state
from mmcma.utils.errors import ConfigError, WeightsError, did_you_mean

#: All of a model but its towers, as attributes: what one adapter is made of.
_PARTS = ('data_preprocessor', 'neck', 'head', 'precision', 'cfg')


class SwitchedAdapters(BaseModel):
    """A retriever that holds several adapters, one of them active.

    An adapter is all of a model but its towers. The model's attributes are
    those of the active adapter; inactive ones are kept outside of the tree of
    modules, so that the state dict is that of a model with one adapter.

    Attributes:
        cfg: The config that the active adapter was built from; None where the model was built without one.
        active_adapter: Its name; ``'default'`` for the one that the model was built with.
    """
    vision_backbone: VisionTower
    text_backbone: TextTower
    data_preprocessor: RetrievalDataPreprocessor
    neck: Neck | None
    head: RetrievalHead
    precision: str
    cfg: Config | None = None
    active_adapter: str = 'default'

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self._inactive: dict[str, dict[str, Any]] = {}

    @property
    def adapter_names(self) -> list[str]:
        """Names of all adapters that the model has."""
        return sorted([self.active_adapter, *self._inactive])

    def load_adapter(self, name: str, config: Config, state: Mapping[str, Tensor], *,
                     source: str = 'the adapter') -> None:
        """Adds an adapter beside those that are there; :meth:`adapter` activates it.

        It may be of another method, size and head. It shares the towers, and
        adds its own tensors to the memory. To read one from a file, see
        :func:`mmcma.apis.load_adapter`.

        Args:
            name: What to call it.
            config: Config of the whole model that it was trained in; ``config.model`` says how it is built.
            state: Its trained tensors by name.
            source: What errors call it.

        Raises:
            ConfigError: The name is taken, or this model's own towers train.
            WeightsError: The tensors do not fit, or are fine-tuned towers'.
        """
        if name in self.adapter_names:
            raise ConfigError(f'adapter {name!r} is there already; choose another name than {self.adapter_names}.')
        self._check_shareable(state, source)
        towers = dict(vision_backbone=self.vision_backbone, text_backbone=self.text_backbone)
        own = {key: value for key, value in config.model.items() if key not in (*towers, 'type')}
        with unclaimed(*towers.values()):
            loaded = type(self)(**towers, **own)
            check_trained_state(state, loaded, source)
        loaded.load_state_dict(state, strict=False)
        loaded.cfg = config
        loaded.to(self.data_preprocessor.device).eval()
        self._inactive[name] = loaded._deactivate()

    @contextmanager
    def adapter(self, name: str):
        """A context in which the adapter ``name`` is active; not for several threads at once.

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
        """Makes the adapter ``name`` the active one, until another is.

        Raises:
            ConfigError: There is none of that name.
        """
        if name == self.active_adapter:
            return
        if name not in self._inactive:
            raise ConfigError(f'adapter {name!r} is not loaded; there are {self.adapter_names}.'
                              f'{did_you_mean(name, self.adapter_names)}')
        device = self.data_preprocessor.device
        self._inactive[self.active_adapter] = self._deactivate()
        self._activate(self._inactive.pop(name))
        self.active_adapter = name
        if self.data_preprocessor.device != device:  # the model has moved since
            self.to(device)

    def _deactivate(self) -> dict[str, Any]:
        enabled = self.neck is not None and self.neck.enabled
        if self.neck is not None:
            self.neck.enable(False)
        return dict(enabled=enabled, **{part: getattr(self, part) for part in _PARTS})

    def _activate(self, adapter: dict[str, Any]) -> None:
        for part in _PARTS:
            setattr(self, part, adapter[part])
        if self.neck is not None:
            self.neck.enable(adapter['enabled'])

    def _check_shareable(self, state: Mapping[str, Tensor], source: str) -> None:
        for name in ('vision_backbone', 'text_backbone'):
            if getattr(self, name).trainable_parameters():
                raise ConfigError(f'model.{name} of this model trains itself, so that adapters of the pretrained one '
                                  'do not fit it: begin with a model whose towers are frozen.')
        towers = sorted(key for key in state if not key.startswith(('neck.', 'head.')))
        if towers:
            raise WeightsError(f'{source} has trained weights of the towers ({towers[0]}, {len(towers)} in all): such '
                               'a model shares its backbone with no other. Open it alone, with init_model.')
