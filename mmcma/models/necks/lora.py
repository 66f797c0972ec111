"""LoRA (Hu et al., ICLR 2022; arXiv 2106.09685), with the layers of ``peft``."""
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from mmcma.models.backbones.tower import TextTower, Tower, VisionTower
from mmcma.models.necks.argument_checks import check_counts, check_dropout
from mmcma.models.necks.base import Neck
from mmcma.registry import MODELS
from mmcma.utils.errors import argument_error, did_you_mean


class LowRankUpdate(nn.Module):
    """``x -> scaling * B A dropout(x)``, the part of a ``peft`` LoRA layer beside the frozen weight."""

    def __init__(self, *, lora_A: nn.Linear, lora_B: nn.Linear, dropout: nn.Module, scaling: float) -> None:
        super().__init__()
        self.lora_A = lora_A
        self.lora_B = lora_B
        self.dropout = dropout
        self.scaling = scaling

    def add(self, entered: Tensor, left: Tensor) -> Tensor:
        """``left`` ``(..., out)`` plus the update of ``entered`` ``(..., in)``."""
        return left + self.lora_B(self.lora_A(self.dropout(entered))) * self.scaling


@MODELS.register_module()
class LoRA(Neck):
    """A product of two narrow matrices beside linear layers of both towers; zero at the start.

    ``peft`` builds and initialises the matrices; they work through a hook, so
    that no layer of a tower is replaced and its state-dict keys stay. The
    arguments are those of ``peft.LoraConfig``.

    Args:
        r: Rank.
        lora_alpha: The update is scaled by ``lora_alpha / r``, or by
            ``lora_alpha / sqrt(r)`` with ``use_rslora``.
        lora_dropout: Probability of dropping an input channel in training.
        use_rslora: See Kalajdzievski, arXiv 2312.03732.
        target_modules: Names of linear layers, or ends of them
            (``'self_attn.q_proj'``), within the layers of the towers; each
            has to be found in one, and each tower has to have one.

    Raises:
        ConfigError: An argument is out of range or, in :meth:`attach`, a target is not there.
    """

    def __init__(self, *, r: int = 8, lora_alpha: float = 8, lora_dropout: float = 0.0, use_rslora: bool = False,
                 target_modules: Sequence[str] = ('q_proj', 'v_proj')) -> None:
        super().__init__()
        check_counts(self, r=r)
        if lora_alpha <= 0:
            raise argument_error(self, 'lora_alpha', lora_alpha, 'must be above 0.')
        check_dropout(self, lora_dropout=lora_dropout)
        if not target_modules or isinstance(target_modules, str):
            raise argument_error(self, 'target_modules', target_modules, "must be a list of names, such as ['q_proj', "
                                "'v_proj'].")
        self.options = dict(r=r, lora_alpha=lora_alpha, lora_dropout=lora_dropout, use_rslora=use_rslora)
        self.target_modules = target_modules
        self.updates = nn.ModuleDict()

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds one update for each target.

        Raises:
            ConfigError: A target is not found, or a tower has none of them.
        """
        towers = {name: _linear_layers(tower) for name, tower in (('vision', vision), ('text', text))}
        self._check_targets([*towers['vision'], *towers['text']])
        for name, layers in towers.items():
            targets = [path for path in layers if self._is_target(path)]
            if not targets:
                raise argument_error(self, 'target_modules', self.target_modules, f'does not fit: the {name} tower has '
                                    f'none of them; add some of {_without_index(layers)}.')
            for path in targets:
                update = _update(layers[path], self.options)
                self.updates[f'{name}.{path}'.replace('.', '-')] = update
                self.rewrite_branch(layers[path], update.add, f'{name} layer {path}')

    def _is_target(self, path: str) -> bool:
        return any(path.endswith(f'.{target}') for target in self.target_modules)

    def _check_targets(self, paths: list[str]) -> None:
        for target in self.target_modules:
            if not any(path.endswith(f'.{target}') for path in paths):
                known = _without_index(paths)
                near = did_you_mean(target, sorted({name.rpartition('.')[2] for name in known}))
                raise argument_error(self, 'target_modules', self.target_modules, "does not fit: the towers' "
                                     f'layers have no linear {target!r}, but {known}.{near}')


def _linear_layers(tower: Tower) -> dict[str, nn.Linear]:
    """The linear layers within a tower's blocks by path, such as ``'3.self_attn.q_proj'``."""
    return {f'{index}.{path}': module for index, block in enumerate(tower.blocks)
            for path, module in block.named_modules() if isinstance(module, nn.Linear)}


def _without_index(paths: Iterable[str]) -> list[str]:
    return sorted({path.partition('.')[2] for path in paths})


def _update(layer: nn.Linear, options: dict) -> LowRankUpdate:
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds, which other methods should not wait for

    # peft replaces the entry of this dict, and not the tower's own.
    built = inject_adapter_in_model(LoraConfig(target_modules=['layer'], **options), nn.ModuleDict({'layer': layer}))
    lora_A, lora_B, dropout, scaling = (getattr(built.get_submodule('layer'), name)['default']
                                        for name in ('lora_A', 'lora_B', 'lora_dropout', 'scaling'))
    return LowRankUpdate(lora_A=lora_A, lora_B=lora_B, dropout=dropout, scaling=scaling)
