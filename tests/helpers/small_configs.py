"""The configs of the small CLIP, for tests of every one of them."""
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from mmcma.config import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'


def each(paths: Iterable[Path]) -> list:
    """A parameter of each; fast are those with a part, or a tower that trains, which none before them has."""
    seen: set[str] = set()
    found = []
    for path in paths:
        parts = _parts(path)
        found.append(pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if parts <= seen else []))
        seen |= parts
    return found


@cache
def _parts(path: Path) -> frozenset[str]:
    """Types in the model of a config, and what trains of its towers."""
    found, nodes = set(), [load_config(path).model]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            found |= {f'{key}={node[key]}' for key in ('type', 'trainable') if key in node}
            nodes += node.values()
        elif isinstance(node, (list, tuple)):
            nodes += node
    return frozenset(found)
