"""Objects and programs that leave a mark where they are run."""
import collections
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

#: A module that the folder of a trial holds, and its classes of every kind of part.
MODULE = 'a_strangers_module'


class Call:
    """Pickled as a call of ``function``."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple:
        return self.reduced


def calls(mark: Path) -> dict[str, Any]:
    """Objects that make the folder ``mark`` when they are unpickled without restriction."""
    program = f'import os; os.makedirs({str(mark)!r}, exist_ok=True)'
    return dict(mkdir=Call(os.mkdir, str(mark)), exec=Call(exec, program), eval=Call(eval, f'exec({program!r})'),
                system=Call(os.system, f'mkdir -p {mark}'), loads=Call(pickle.loads, pickle.dumps(Call(exec, program))),
                getattr=Call(getattr, Call(__import__, 'os'), 'mkdir'), methods=_methods(program))


def _methods(program: str) -> HistoryBuffer:
    history = HistoryBuffer([1.0], [1])
    history.statistics = Call(exec, program)  # an attribute, where a log keeps its numbers
    return history


class Writes(torch.nn.Module):
    """Makes a file where its program is run, which ``torch.jit.load`` does."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark, self.weight = mark, torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.mark, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.mark, self.training = state[0], state[1]
        self.weight = torch.from_file(state[0], True, 1)


def hidden(call: Any) -> dict[str, dict]:
    """Checkpoints that hold ``call``, each in another place."""
    whole = dict(state_dict={}, meta=dict(iter=1, epoch=1), message_hub=dict(log_scalars={}, runtime_info={}))
    states = collections.OrderedDict(weight=torch.zeros(1))
    states._metadata = call
    return {
        'an entry of its own': dict(whole, extra=call), 'a tensor': dict(whole, state_dict=dict(weight=call)),
        'the model': dict(whole, model=dict(visual=call)), 'the order of tensors': dict(whole, state_dict=states),
        'meta': dict(whole, meta=dict(iter=1, epoch=1, extra=call)), 'the config': dict(whole, meta=dict(cfg=call)),
        'the optimizer': dict(whole, optimizer=dict(state={0: call})), 'the backbone': dict(whole, backbone=call),
        'the log': dict(whole, message_hub=dict(log_scalars=dict(loss=call), runtime_info={}, resumed_keys={})),
        'an array': dict(whole, meta=dict(array=np.array([call], dtype=object))), 'the whole': call}


def programs(mark: Path) -> dict[str, str]:
    """Texts of configs that make the folder ``mark`` when they are run."""
    make = f'__import__("os").makedirs({str(mark)!r}, exist_ok=True)'
    model = "model = dict(type='CrossModalRetriever')"
    return {
        'a statement': f'import os\nos.makedirs({str(mark)!r}, exist_ok=True)\n{model}',
        'a value': f'x = {make}\n{model}', 'an argument': f'model = dict(type={make})',
        'a comprehension': f'x = [{make} for _ in (1,)]\n{model}', 'a lambda': f'x = (lambda: {make})()\n{model}',
        'a format': f"x = f'''{{{make}}}'''\n{model}",
        'an import': f"custom_imports = dict(imports=['{MODULE}'])\n{model}",
        'a base': f"_base_ = ['{mark.parent}/base.py']\n{model}"}


def write_module(folder: Path, mark: Path) -> None:
    """A module that makes ``mark`` when it is imported, as a package with a registry too, and a config that does."""
    program = f'import os\nos.makedirs({str(mark)!r}, exist_ok=True)\n'
    package = folder / MODULE
    package.mkdir(exist_ok=True)
    for file in (package / '__init__.py', package / 'registry.py', folder / 'base.py', folder / 'config.py'):
        file.write_text(program + "model = dict(type='CrossModalRetriever')\n")
