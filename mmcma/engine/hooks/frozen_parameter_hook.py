"""Proof that what is frozen stays frozen, and checkpoints without it."""
from io import StringIO

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import nn

from mmcma.checkpoints.checkpoint_file import check_checkpoint
from mmcma.checkpoints.config_data import plain_config
from mmcma.checkpoints.identity import backbone_identity
from mmcma.engine.loops import unwrapped
from mmcma.models.trained_state import trained_names
from mmcma.registry import HOOKS
from mmcma.utils.digests import tensor_digests
from mmcma.utils.errors import ConfigError

_EMA_PREFIX = 'module.'


@HOOKS.register_module()
class FrozenParameterHook(Hook):
    """Reports what trains, proves that the rest does not change, and keeps the rest out of checkpoints.

    The model's constructor freezes; this hook only verifies. Before training
    it logs a table of parameters by module and takes a digest of every frozen
    tensor; in training it checks that frozen modules are in eval mode; after
    training it checks every digest. Checkpoints are saved with the trained
    tensors (and their moving averages) only, and with the backbone's name and
    fingerprint, which are compared when a checkpoint is loaded.

    Args:
        allow_other_backbone: Load checkpoints that were trained on a backbone
            with another fingerprint.

    Raises:
        ConfigError: Nothing in the model is trainable.
        WeightsError: A loaded checkpoint was trained on another backbone, or
            does not hold exactly what this model trains.
        RuntimeError: A frozen module is in training mode, or a frozen tensor changed.
    """

    # Saving: after EMAHook (NORMAL), which swaps the averaged weights into the state dict.
    priority = 'LOW'

    def __init__(self, *, allow_other_backbone: bool = False) -> None:
        self.allow_other_backbone = allow_other_backbone
        self._identity: dict[str, str | None] = {}
        self._digests: dict[str, str] = {}

    def before_run(self, runner: Runner) -> None:
        """Takes the backbone's identity; in training also the report and the digests of frozen tensors.

        This is before ``init_weights`` and before a checkpoint is loaded, so
        that damage done by those is found too.
        """
        model = unwrapped(runner.model)
        if not self._identity:
            self._identity = backbone_identity(model)
            # Loading: before EMAHook, which expects a complete state dict. Registering puts the loader at
            # the head of the list that is being walked, so this hook is visited again: hence the guards.
            runner.register_hook(_TrainedStateLoader(self), priority='HIGHEST')
        if isinstance(runner._train_loop, BaseLoop) and not self._digests:
            if not trained_names(model):
                raise ConfigError('nothing in the model is trainable: give it a neck (model.neck), or a '
                                  'part of a backbone to train.')
            runner.logger.info(f'What trains:\n{parameter_table(model)}')
            self._digests = tensor_digests(_frozen_tensors(model))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Checks that every frozen module is in eval mode."""
        for name, module in unwrapped(runner.model).named_modules():
            if module.training and _is_frozen(module):
                raise RuntimeError(f'module {name!r} is frozen but in training mode: the model keeps frozen '
                                   'modules in eval mode, so something called train() on a part of it.')

    def after_train(self, runner: Runner) -> None:
        """Checks that every frozen tensor has the digest it had before training."""
        now = tensor_digests(_frozen_tensors(unwrapped(runner.model)))
        changed = sorted({name for name, _ in self._digests.items() ^ now.items()})
        if changed:
            raise RuntimeError(f'{len(changed)} frozen tensors changed in training: {changed[:3]}.')
        runner.logger.info(f'Frozen weights: all {len(now)} tensors are bit-identical to before training.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keeps of ``state_dict`` and ``ema_state_dict`` what was trained, and adds ``backbone`` and the config."""
        trained = trained_names(unwrapped(runner.model))
        state = checkpoint['state_dict']
        checkpoint['state_dict'] = {name: state[name] for name in trained}
        if 'ema_state_dict' in checkpoint:
            kept = {_EMA_PREFIX + name for name in trained}
            checkpoint['ema_state_dict'] = {
                name: tensor for name, tensor in checkpoint['ema_state_dict'].items()
                if name in kept or not name.startswith(_EMA_PREFIX)}
        checkpoint['backbone'] = dict(self._identity)
        # mmengine keeps the config twice, as a program; the one that is read again is data.
        checkpoint['meta']['cfg'] = plain_config(runner.cfg.to_dict())
        checkpoint['message_hub']['runtime_info'].pop('cfg', None)

    def complete(self, runner: Runner, checkpoint: dict) -> None:
        """Checks a loaded checkpoint and fills in the frozen tensors from the model."""
        model = unwrapped(runner.model)
        source = f'checkpoint {runner._load_from!r}' if runner._load_from else 'the checkpoint'
        check_checkpoint(checkpoint, model, source=source, identity=self._identity,
                         allow_other_backbone=self.allow_other_backbone)
        whole = model.state_dict()
        checkpoint['state_dict'] = {**whole, **checkpoint['state_dict']}
        if 'ema_state_dict' in checkpoint:
            frozen = {_EMA_PREFIX + name: tensor for name, tensor in whole.items()}
            checkpoint['ema_state_dict'] = {**frozen, **checkpoint['ema_state_dict']}


class _TrainedStateLoader(Hook):
    """The part of :class:`FrozenParameterHook` that needs another place in the order of hooks."""

    def __init__(self, owner: FrozenParameterHook) -> None:
        self.owner = owner

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.owner.complete(runner, checkpoint)


def parameter_table(model: nn.Module) -> str:
    """Parameters by module, how many of them train, and their share in percent, as a text table."""
    table = Table(box=SIMPLE_HEAD, show_footer=True)
    rows = [(name, *_count(module)) for name, module in model.named_children()]
    total, trainable = _count(model)
    for title, footer in (('module', 'total'), ('parameters', f'{total:,}'), ('trainable', f'{trainable:,}'),
                          ('share', _percent(trainable, total))):
        table.add_column(title, footer=footer, justify='left' if title == 'module' else 'right')
    for name, size, training in sorted(rows, key=lambda row: -row[2]):
        if size:
            table.add_row(name, f'{size:,}', f'{training:,}', _percent(training, size))
    text = StringIO()
    Console(file=text, width=100).print(table)
    return text.getvalue().rstrip()


def _count(module: nn.Module) -> tuple[int, int]:
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, training in sizes if training)


def _percent(part: int, whole: int) -> str:
    return f'{100 * part / whole:.3f} %'


def _is_frozen(module: nn.Module) -> bool:
    """Whether the module has parameters, none of which trains."""
    training = [p.requires_grad for p in module.parameters()]
    return bool(training) and not any(training)


def _frozen_tensors(model: nn.Module):
    """Name and tensor of every parameter and persistent buffer that training must not change."""
    trained = set(trained_names(model))
    return ((name, tensor) for name, tensor in model.state_dict().items() if name not in trained)
