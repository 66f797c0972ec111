"""Mutated configs: keys deleted, misspelt and invented, values of another kind and out of range, necks in necks.

Of the tiny configs all is built that can be without training; the others need weights and are only checked.
"""
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from campaigns import Outcome, Verdict
from mmcma.config import building, check_config, load_config
from mmcma.config.places import parts
from mmcma.config.sharing import LOADERS
from mmcma.registry import HOOKS, MODELS
from mmcma.utils.errors import UserError, cause

CONFIGS = Path(__file__).parents[3] / 'configs'
#: What a run builds; all else in a config are variables and settings of mmengine.
BUILT = ('model', *LOADERS, 'val_evaluator', 'test_evaluator', 'optim_wrapper', 'custom_hooks', 'default_hooks')
#: What trials must leave alone: these decide how much is rendered, and where.
KEPT = ('data_root', 'num_clips')
#: Parts of mmengine that pass unknown arguments on.
TAKES_ANY = ('default_hooks.checkpoint',)
OTHER_KINDS = ('x', 3.7, ['x'], dict(x=1), dict(type=3))
OUT_OF_RANGE = (-1, 0, float('nan'), '', [], None)


class Mutation(NamedTuple):
    """What was done to a config.

    Attributes:
        text: In words.
        named: What an error must name, of which one is enough.
        legal: Whether the config may still be right.
    """
    text: str
    named: tuple[str, ...]
    legal: bool


def trials(count: int, seed: int, folder: Path) -> Iterator[Outcome]:
    DefaultScope.get_instance('stress', scope_name='mmcma')  # as a Runner does
    rng = Random(seed)
    paths = sorted(CONFIGS.glob('[!_]*/*.py'))
    tiny = [path for path in paths if '_tiny_glyphmotion' in path.name]
    for _ in range(count):
        path = rng.choice(tiny if rng.random() < 0.7 else paths)
        content = load_config(path).to_dict()
        mutation = mutate(content, rng)
        outcome = judge(Config(content), mutation, folder if path in tiny else None)
        yield replace(outcome, detail=f'{path.name}: {mutation.text}: {outcome.detail}')


def mutate(content: dict, rng: Random) -> Mutation:
    """Changes one part of the config."""
    neck = content['model'].get('neck')
    if neck and rng.random() < 0.2:
        content['model']['neck'] = dict(type='CombinedNeck', necks=[dict(type='CombinedNeck', necks=[neck])])
    nodes = [(path, node) for path, node in parts(content) if path.partition('.')[0].partition('[')[0] in BUILT]
    nodes += [(name, content[name]) for name in LOADERS if name in content]
    path, node = rng.choice(nodes)
    return rng.choice(MUTATIONS)(path, node, rng)


def _delete(path: str, node: dict, rng: Random) -> Mutation:
    key = _key(node, rng)
    del node[key]
    return Mutation(f'{path} without {key}', (key, path), legal=True)


def _misspell(path: str, node: dict, rng: Random) -> Mutation:
    key = _key(node, rng)
    place = rng.randrange(len(key))
    typo = key[:place] + key[place + 1:] + key[place]
    typo = typo if typo != key else f'{key}s'
    node[typo] = node.pop(key)
    return Mutation(f'{path}.{key} misspelt {typo}', (typo, key, 'type'), legal=key == 'type' or path in TAKES_ANY)


def _invent(path: str, node: dict, rng: Random) -> Mutation:
    node['no_such_argument'] = 1
    return Mutation(f'{path} with no_such_argument', ('no_such_argument',), legal=path in TAKES_ANY)


def _other_type(path: str, node: dict, rng: Random) -> Mutation:
    if 'type' not in node:
        return _invent(path, node, rng)
    name = str(node['type'])
    others = [name[:-1], name.lower(), f'mmcma.{name}x', 3, None, ['x']]
    node['type'] = rng.choice([other for other in others if other != name])
    return Mutation(f'{path}.type={node["type"]!r}', (repr(node['type']), path), legal=False)


def _other_value(values: tuple) -> Callable[[str, dict, Random], Mutation]:
    def change(path: str, node: dict, rng: Random) -> Mutation:
        key = _key(node, rng)
        node[key] = rng.choice(values)
        return Mutation(f'{path}.{key}={node[key]!r}', (key, repr(node[key]), path), legal=True)
    return change


MUTATIONS = (_delete, _misspell, _invent, _other_type, _other_value(OTHER_KINDS), _other_value(OUT_OF_RANGE))


def _key(node: dict, rng: Random) -> str:
    return rng.choice(sorted(key for key in node if key not in KEPT))


def judge(cfg: Config, mutation: Mutation, folder: Path | None) -> Outcome:
    try:
        with redirect_stdout(StringIO()):
            check_config(cfg)
            if folder is not None:
                build(cfg, folder)
    except UserError as error:
        text = str(error)
        named = any(name in text for name in mutation.named)
        return Outcome(Verdict.REFUSED if '\n' not in text and named else Verdict.CRASHED, text)
    except Exception as error:
        return Outcome(Verdict.CRASHED, cause(error))
    return Outcome(Verdict.RIGHT if mutation.legal else Verdict.WRONG, 'accepted')


def build(cfg: Config, folder: Path) -> None:
    """Builds model, loaders, evaluators, hooks and optimizer, with 8 clips a split in ``folder``."""
    for name in LOADERS:
        dataset: Any = (cfg.get(name) or {}).get('dataset')
        if isinstance(dataset, dict) and dataset.get('type') == 'GlyphMotion':
            dataset.update(data_root=str(folder / 'data'), num_clips=dict(train=8, val=8, test=8))
    with building(cfg):
        model = MODELS.build(cfg.model)
        for name in LOADERS:
            if name in cfg:
                Runner.build_dataloader(cfg[name], seed=0)
        for name in ('val_evaluator', 'test_evaluator'):
            if name in cfg:
                Evaluator(cfg[name])
        for hook in [*cfg.get('custom_hooks', []), *cfg.get('default_hooks', {}).values()]:
            HOOKS.build(hook)
        if 'optim_wrapper' in cfg and any(parameter.requires_grad for parameter in model.parameters()):
            build_optim_wrapper(model, cfg.optim_wrapper)
