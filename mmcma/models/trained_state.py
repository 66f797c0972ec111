"""The tensors of a model that training can change, by name."""
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from mmcma.utils.errors import WeightsError


def trained_names(model: nn.Module) -> list[str]:
    """Names in ``model.state_dict()`` that training can change.

    These are the parameters with ``requires_grad`` and the persistent buffers
    of the neck, of the head, and of any module that owns such a parameter
    (running statistics).
    """
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for prefix, module in model.named_modules():
        own_training = any(p.requires_grad for p in module.parameters(recurse=False))
        if own_training or prefix.split('.')[0] in ('neck', 'head'):
            trained |= {f'{prefix}.{name}' for name, _ in module.named_buffers(recurse=False)}
    return [name for name in model.state_dict() if name in trained]


def trained_state(model: nn.Module, state_dict: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The entries of ``state_dict`` (by default the model's) under :func:`trained_names`."""
    state_dict = model.state_dict() if state_dict is None else state_dict
    return {name: state_dict[name] for name in trained_names(model)}


def check_trained_state(state: Mapping[str, Tensor], model: nn.Module, source: str) -> None:
    """Refuses tensors that are not exactly :func:`trained_state` of the model, by name and shape.

    Args:
        state: What was trained.
        model: The retriever.
        source: Where the tensors came from, for the errors.

    Raises:
        WeightsError: Missing, unexpected or misshapen tensors.
    """
    own = trained_state(model)
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    if missing or unexpected:
        raise WeightsError(f'{source} does not hold what this model trains: missing {_some(missing)}, '
                           f'unexpected {_some(unexpected)}. Use the config that it was trained with.')
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise WeightsError(f'{source}: {name} has shape {tuple(state[name].shape)}, this model needs '
                               f'{tuple(tensor.shape)}. Use the config that it was trained with.')


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return f'{names[:3]}{f" and {len(names) - 3} more" if len(names) > 3 else ""}' if names else 'nothing'
