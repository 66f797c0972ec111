"""Parameter groups of a parameter-efficient run."""
from collections.abc import Callable

import torch
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmcma.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmcma.utils.errors import ConfigError


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Gives the optimizer what trains, without weight decay on biases and gains or what a part says does not decay.

    A part says so by a method ``decays(name, parameter)``, which is asked for all
    parameters in it (``name`` counts from the part); of parts in one another the innermost.

    mmengine's own constructor warns once for every frozen tensor, hands the
    frozen ones to the optimizer unless ``paramwise_cfg`` is set, and makes one
    group a tensor. This one is silent and makes one group for each pair of
    learning rate and weight decay.

    ``paramwise_cfg`` may hold ``custom_keys``, as in mmengine: part of a
    parameter's name -> ``dict(lr_mult=…, decay_mult=…)``; the longest match counts.

    Raises:
        ConfigError: ``paramwise_cfg`` holds another key, or a custom key matches no
            trained parameter.
    """
    paramwise_cfg: dict

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module=None) -> None:
        """Appends the groups of ``module`` to ``params``; vectors and scalars do not decay."""
        custom = self.paramwise_cfg.get('custom_keys', {})
        groups: dict[tuple, list] = {}
        matched = set()
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            key = max((key for key in custom if key in name), key=len, default=None)
            matched.add(key)
            mult = custom.get(key, {})
            decay = mult.get('decay_mult', 1.0) if _decays(module, name, parameter) else 0.0
            groups.setdefault((mult.get('lr_mult', 1.0), decay), []).append(parameter)
        if unused := custom.keys() - matched:
            raise ConfigError(f'optim_wrapper.paramwise_cfg.custom_keys {sorted(unused)} match nothing that '
                              'trains.')
        for (lr_mult, decay_mult), members in groups.items():
            options = dict(params=members)
            if self.base_lr is not None:
                options['lr'] = self.base_lr * lr_mult
            if self.base_wd is not None:
                options['weight_decay'] = self.base_wd * decay_mult
            params.append(options)

    def __call__(self, model: nn.Module):
        """The optimizer wrapper of ``model``'s trained parameters."""
        if others := self.paramwise_cfg.keys() - {'custom_keys'}:
            raise ConfigError(f'optim_wrapper.paramwise_cfg: {sorted(others)} unknown; '
                              f'{type(self).__name__} takes custom_keys only.')
        # The base class calls add_params only when paramwise_cfg is not empty.
        self.paramwise_cfg = {'custom_keys': {}, **self.paramwise_cfg}
        wrapper = super().__call__(model)
        # With mmengine's `compile`, the forward pass is what gains. Compiled, the update would be compiled anew in
        # each of the first steps, for an array of the log that grows.
        wrapper.update_params = torch.compiler.disable(wrapper.update_params)
        return wrapper


def _decays(model: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """What the innermost part around a parameter says; without one, that matrices decay and vectors do not."""
    parts = name.split('.')
    for end in range(len(parts) - 1, -1, -1):
        decays: Callable | None = getattr(model.get_submodule('.'.join(parts[:end])), 'decays', None)
        if decays is not None:
            return decays('.'.join(parts[end:]), parameter)
    return parameter.ndim > 1
