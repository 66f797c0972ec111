"""Registries of mmcma, children of mmengine's: ``type='Name'`` in a config is looked up here first."""
from mmengine import registry as root
from mmengine.registry import Registry


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(name, parent=parent, scope='mmcma', locations=list(locations))


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
OPTIMIZERS = _child('optimizer', root.OPTIMIZERS)
OPTIM_WRAPPERS = _child('optim_wrapper', root.OPTIM_WRAPPERS)
EVALUATOR = _child('evaluator', root.EVALUATOR)
LOG_PROCESSORS = _child('log_processor', root.LOG_PROCESSORS)
VISBACKENDS = _child('vis_backend', root.VISBACKENDS)
FUNCTIONS = _child('function', root.FUNCTIONS)
