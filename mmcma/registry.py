"""Registries of mmcma, children of mmengine's: ``type='Name'`` in a config is looked up here first."""
from collections.abc import Callable
from typing import Any

from mmengine import registry as root
from mmengine.config import utils as mmengine_configs
from mmengine.registry import Registry

from mmcma.utils.arguments import check_arguments
from mmcma.utils.errors import ConfigError, UserError, one_short_line, short

# So a config may inherit from the package's own: ``_base_ = 'mmcma::cma/cma_tiny_glyphmotion.py'``.
mmengine_configs.MODULE2PACKAGE['mmcma'] = 'mmcma'


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    # A registry of such a package that names no place to import would be looked for in another one.
    return Registry(name, parent=parent, scope='mmcma', locations=list(locations or [__name__]),
                    build_func=_guarded(parent))


def _guarded(parent: Registry) -> Callable:
    """The parent's way to build, whose every failure is one line that names the part."""
    def build(cfg: Any, *args, registry: Registry, **kwargs) -> Any:
        if not isinstance(cfg, dict) or 'type' not in cfg:
            raise ConfigError(f'{short(cfg)} is no {registry.name}: it must be a dict with a type.')
        builder = registry.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
        if builder is None:
            raise ConfigError(f'type={short(cfg["type"])}: there is no such {registry.name}.')
        given = {key: value for key, value in cfg.items() if key not in ('type', '_scope_')}
        check_arguments(builder, given, supplied=kwargs, complete=not (args or kwargs))
        try:
            return parent.build_func(cfg, *args, registry=registry, **kwargs)
        except UserError:
            raise
        except Exception as error:
            raise build_failure(builder, given, error) from error
    return build


def build_failure(builder: Any, given: dict, error: Exception) -> ConfigError:
    """What to say of a part whose constructor raised something that it did not mean for users."""
    reason = one_short_line(str(error)) or 'no reason given'
    name = getattr(builder, '__name__', str(builder))
    return ConfigError(f'{name}({short(given)[1:-1]}) cannot be built: {type(error).__name__}: {reason}')


#: Towers, necks, heads, similarities, losses, data preprocessors, retrievers.
MODELS = _child('model', root.MODELS, 'mmcma.models')
DATASETS = _child('dataset', root.DATASETS, 'mmcma.datasets')
TRANSFORMS = _child('transform', root.TRANSFORMS, 'mmcma.datasets.transforms')
METRICS = _child('metric', root.METRICS, 'mmcma.evaluation')
HOOKS = _child('hook', root.HOOKS, 'mmcma.engine')
LOOPS = _child('loop', root.LOOPS, 'mmcma.engine')
VISUALIZERS = _child('visualizer', root.VISUALIZERS, 'mmcma.visualization')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor', root.OPTIM_WRAPPER_CONSTRUCTORS, 'mmcma.engine')
MODEL_WRAPPERS = _child('model wrapper', root.MODEL_WRAPPERS, 'mmcma.engine')
PARAM_SCHEDULERS = _child('parameter scheduler', root.PARAM_SCHEDULERS, 'mmcma.engine')
# Nothing of ours is in these; without a child mmengine warns that it looks the name up in its own.
DATA_SAMPLERS = _child('data sampler', root.DATA_SAMPLERS)
OPTIMIZERS = _child('optimizer', root.OPTIMIZERS, 'mmcma.engine')
OPTIM_WRAPPERS = _child('optim_wrapper', root.OPTIM_WRAPPERS)
EVALUATOR = _child('evaluator', root.EVALUATOR)
LOG_PROCESSORS = _child('log_processor', root.LOG_PROCESSORS)
VISBACKENDS = _child('vis_backend', root.VISBACKENDS, 'mmcma.visualization')
FUNCTIONS = _child('function', root.FUNCTIONS)
