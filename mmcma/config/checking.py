"""Finding typos in a config before anything is built.

Only what is certain is an error: a ``type`` that no registry of its place
knows, a keyword that a constructor without ``**kwargs`` does not take, and a
missing one that no builder supplies. Dicts whose place says nothing about
their registry are left to whoever reads them. One fit of parts is checked as
well: a part that relates the frames of a clip is given more than one.
"""
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from typing import NamedTuple

from mmengine.config import Config
from mmengine.registry import Registry
from torch.utils.data import DataLoader

from mmcma import registry
from mmcma.config.sharing import LOADERS
from mmcma.utils.arguments import check_arguments
from mmcma.utils.errors import ConfigError, did_you_mean, short


class Place(NamedTuple):
    """What may stand at a place of a config.

    Attributes:
        registry: Where its ``type`` is looked up.
        kind: What an error calls it.
        supplied: Keywords that the builder adds, or takes out.
        default_type: ``type`` where the config names none.
        complete: Whether the config and ``supplied`` are all that the constructor gets.
    """
    registry: Registry
    kind: str
    supplied: frozenset = frozenset()
    default_type: str | None = None
    complete: bool = True


def _place(registry: Registry, kind: str, *supplied: str, **kwargs) -> Place:
    return Place(registry, kind, frozenset(supplied), **kwargs)


MODEL = _place(registry.MODELS, 'model', complete=False)
DATASET = _place(registry.DATASETS, 'data set')
TRANSFORM = _place(registry.TRANSFORMS, 'transform')
HOOK = _place(registry.HOOKS, 'hook', 'priority')
METRIC = _place(registry.METRICS, 'metric')
LOOP = _place(registry.LOOPS, 'loop', 'runner', 'dataloader', 'evaluator')
SAMPLER = _place(registry.DATA_SAMPLERS, 'sampler', 'dataset', 'seed', 'sampler', 'batch_size')
FUNCTION = _place(registry.FUNCTIONS, 'function', complete=False)
OPTIM_WRAPPER = _place(registry.OPTIM_WRAPPERS, 'optimizer wrapper', 'optimizer', 'constructor', 'paramwise_cfg',
                       default_type='OptimWrapper')
OPTIMIZER = _place(registry.OPTIMIZERS, 'optimizer', complete=False)
SCHEDULER = _place(registry.PARAM_SCHEDULERS, 'parameter scheduler', 'optimizer', 'end', 'epoch_length',
                   'convert_to_iter_based')
VISUALIZER = _place(registry.VISUALIZERS, 'visualizer', 'name', 'save_dir')
VIS_BACKEND = _place(registry.VISBACKENDS, 'visualization backend', 'save_dir')
WRAPPER = _place(registry.MODEL_WRAPPERS, 'model wrapper', 'module', 'device_ids',
                 default_type='MMDistributedDataParallel')
LOG_PROCESSOR = _place(registry.LOG_PROCESSORS, 'log processor', default_type='LogProcessor')

_TOP = {
    'model': MODEL, 'data_preprocessor': MODEL, 'optim_wrapper': OPTIM_WRAPPER, 'param_scheduler': SCHEDULER,
    'custom_hooks': HOOK, 'visualizer': VISUALIZER, 'model_wrapper_cfg': WRAPPER,
    'log_processor': LOG_PROCESSOR, 'train_cfg': LOOP, 'val_cfg': LOOP, 'test_cfg': LOOP,
    'val_evaluator': METRIC, 'test_evaluator': METRIC,
}
_DATALOADER = {'dataset': DATASET, 'sampler': SAMPLER, 'batch_sampler': SAMPLER, 'collate_fn': FUNCTION,
               'worker_init_fn': FUNCTION}
#: What mmengine takes out before it builds a loader.
_LOADER_EXTRAS = ('num_batch_per_epoch', 'disable_subprocess_warning')
#: Within a place: key -> place of what stands there.
_INNER = {
    MODEL: {'necks': MODEL},
    DATASET: {'pipeline': TRANSFORM, 'dataset': DATASET, 'datasets': DATASET},
    TRANSFORM: {'transforms': TRANSFORM},
    OPTIM_WRAPPER: {'optimizer': OPTIMIZER},
    METRIC: {'extras': METRIC, 'first_stage': MODEL},
    VISUALIZER: {'vis_backends': VIS_BACKEND},
}
#: Top-level dicts that are built from no registry, with the keys of those of which unknown ones would change nothing.
_DICTS: dict[str, frozenset[str]] = {
    'default_hooks': frozenset(), 'randomness': frozenset(),
    'env_cfg': frozenset({'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'}),
    'auto_scale_lr': frozenset({'enable', 'base_batch_size'}),
}


def check_config(cfg: Config) -> None:
    """Checks every registered part that the config names.

    Raises:
        ConfigError: A type is unknown, a keyword is unknown or missing; the
            message gives file, key path and near matches. Or a part needs
            several frames and the training data have one, or captions of
            frames and they have none.
    """
    _check_dicts(cfg)
    for loader in LOADERS:
        _check_loader(cfg.get(loader), f'{cfg.filename or "config"}: {loader}')
    builders = {}
    for path, node, place in _parts(cfg.to_dict()):
        where = f'{cfg.filename or "config"}: {path}'
        if not isinstance(node, dict):
            raise ConfigError(f'{where} must be a dict with a type, a {place.kind}; got {short(node)}.')
        name = node.get('type', place.default_type)
        if name is None and place is not LOOP and place is not METRIC:
            raise ConfigError(f'{where} needs a type: the name of a {place.kind}.')
        if name is not None and not isinstance(name, str) and not callable(name):
            raise ConfigError(f'{where}.type={short(name)} must be the name of a {place.kind}.')
        if isinstance(name, str):
            builder = _find(place, name, f'{where}.type')
            if builder is not None:
                _check_arguments(builder, node, place, where)
                builders[path] = (builder, node)
    _check_frames(builders, cfg.filename or 'config')
    _check_frame_captions(builders, cfg.filename or 'config')


def _check_dicts(cfg: Config) -> None:
    for name, known in _DICTS.items():
        where, node = f'{cfg.filename or "config"}: {name}', cfg.get(name)
        if node is not None and not isinstance(node, dict):
            raise ConfigError(f'{where} must be a dict; got {short(node)}.')
        for key in sorted((node or {}).keys() - known) if known else ():
            raise ConfigError(f'{where} takes no {short(key)}.{did_you_mean(key, sorted(known))}')


def _check_loader(node: Mapping | None, where: str) -> None:
    """Refuses arguments that a data loader does not take."""
    if node is None:
        return
    if not isinstance(node, Mapping):
        raise ConfigError(f'{where} must be a dict with a dataset; got {short(node)}.')
    given = {key: value for key, value in node.items() if key not in (*_DATALOADER, *_LOADER_EXTRAS)}
    try:
        check_arguments(DataLoader, given, complete=False)
    except ConfigError as error:
        raise ConfigError(f'{where}: {error}') from error


def _check_frames(builders: dict[str, tuple], source: str) -> None:
    """Refuses training a part that relates frames, which its class says, on data of one frame."""
    for path, (builder, node_of_part) in builders.items():
        for other, (loader, node) in builders.items():
            if (getattr(builder, 'needs_several_frames', False) is True and other.startswith('train_dataloader')
                    and (loader.__name__ == 'LoadImage' or node.get('num_frames') == 1)):
                raise ConfigError(
                    f'{source}: {path}.type={builder.__name__!r} relates the frames of a clip, but {other} '
                    f'({loader.__name__}) gives one frame: train on videos with num_frames above 1, or choose a '
                    'part that works on images.')
            if path.startswith('model.') and '_dataloader' in other:
                _check_number_of_frames(builder, node_of_part, loader, node, f'{source}: {path}', other)


def _check_frame_captions(builders: dict[str, tuple], source: str) -> None:
    """Refuses a method that compares captions of frames without a step that gives them, and the other way round."""
    wanted = [f'{path}.{argument}' for path, (builder, node) in builders.items()
              if (argument := getattr(builder, 'frame_captions_where', None)) and node.get(argument)]
    given = [path for path, (builder, _) in builders.items() if getattr(builder, 'gives_frame_captions', False) is True]
    trained = [path for path in given if path.startswith('train_dataloader')]
    if any(path.startswith('train_dataloader') for path in builders) and wanted and not trained:
        raise ConfigError(f'{source}: {wanted[0]}=True compares frames with captions of theirs, and no step of '
                          'train_dataloader.dataset.pipeline gives any: add LoadFrameCaptions, or set it to False.')
    for path in given:
        if path not in trained:
            raise ConfigError(f'{source}: {path} gives captions of frames, which training alone takes: take it out.')
        if not wanted:
            raise ConfigError(f'{source}: {path} gives captions of frames, and the model compares none: take it out, '
                              "or use a neck that does, such as dict(type='DiscoVLA', frame_captions=True).")


def _check_number_of_frames(part: Callable, own: Mapping, loader: Callable, loading: Mapping, where: str,
                            other: str) -> None:
    """Refuses a part for another number of frames than a loader gives, for fewer, or for pieces that do not fit."""
    given = _argument(loader, loading, 'num_frames')
    if given is None:
        return
    exact, most = _argument(part, own, 'num_frames'), _argument(part, own, 'max_frames')
    divisor = getattr(part, 'frames_are_multiple_of', None)
    size = None if divisor is None else _argument(part, own, divisor)
    gives = f'that {other} ({loader.__name__}) gives'
    if exact is not None and exact != given:
        raise ConfigError(f'{where}.num_frames={exact} of {part.__name__} are not the {given} {gives}: set both to '
                          'the same.')
    if most is not None and most < given:
        raise ConfigError(f'{where}.max_frames={most} of {part.__name__} is less than the {given} frames {gives}: '
                          f'set it to {given}, or num_frames lower.')
    if size and given % size:
        raise ConfigError(f'{where}.{divisor}={size} of {part.__name__} does not divide the {given} frames {gives}: '
                          'change one of them.')


def _argument(builder: Callable, node: Mapping, name: str) -> int | None:
    """An argument that a part gets, given or its default; None where it has none of that name."""
    parameter = signature(builder).parameters.get(name)
    return None if parameter is None else node.get(name, parameter.default)


def _parts(cfg: dict) -> Iterator[tuple[str, object, Place]]:
    """Key path, content and place of everything in a config that is certainly built from a registry."""
    for key, place in _TOP.items():
        yield from _walk(cfg.get(key), key, place)
    for name, hook in (cfg.get('default_hooks') or {}).items():
        yield from _walk(hook, f'default_hooks.{name}', HOOK)
    for loader in LOADERS:
        for key, place in _DATALOADER.items():
            yield from _walk((cfg.get(loader) or {}).get(key), f'{loader}.{key}', place)


def _walk(node, path: str, place: Place) -> Iterator[tuple[str, object, Place]]:
    if node is None:
        return
    if isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _walk(child, f'{path}[{index}]', place)
        return
    yield path, node, place
    if not isinstance(node, dict):
        return
    for key, child in node.items():
        inner = _INNER.get(place, {}).get(key)
        if place is MODEL and key != 'init_cfg' and isinstance(child, dict) and 'type' in child:
            inner = MODEL
        if inner is not None:
            yield from _walk(child, f'{path}.{key}', inner)


def _find(place: Place, name: str, where: str):
    """The registered class or function; None for a dotted path, which only building can resolve."""
    scope, _, own = name.rpartition('.')
    if scope not in ('', 'mmcma', 'mmengine'):
        return None
    chain = [place.registry]
    while chain[-1].parent is not None:
        chain.append(chain[-1].parent)
    known = {}
    for node in reversed(chain):  # The child's names win.
        node.import_from_location()
        known.update(node.module_dict)
    if own not in known:
        hint = _scope_hint(place, own) or did_you_mean(own, sorted(known))
        raise ConfigError(f'{where}={short(name)}: there is no such {place.kind}.{hint}')
    return known[own]


def _scope_hint(place: Place, name: str) -> str:
    from mmcma.models.backbones.mmpretrain_tower import BACKBONES
    if place is not MODEL or name not in BACKBONES:
        return ''
    return f" A backbone of mmpretrain is named with its scope: type='mmpretrain.{name}'."


def _check_arguments(builder: Callable, node: dict, place: Place, where: str) -> None:
    given = {key: value for key, value in node.items()
             if key != 'type' and not (key.startswith('_') and key.endswith('_'))}
    try:
        check_arguments(builder, given, supplied=place.supplied, complete=place.complete)
    except ConfigError as error:
        raise ConfigError(f'{where}: {error}') from error
