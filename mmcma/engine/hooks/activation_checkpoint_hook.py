"""mmengine's activation checkpointing on models whose inputs need no gradient."""
from operator import attrgetter

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.checkpoint import checkpoint

from mmcma.engine.loops import unwrapped
from mmcma.registry import HOOKS


@HOOKS.register_module()
class ActivationCheckpointHook(Hook):
    """Makes ``activation_checkpointing = ['vision_backbone', …]`` of a config right for frozen backbones.

    mmengine wraps the modules in PyTorch's reentrant variant, which gives no
    gradient to what lies inside a module whose inputs need none, as is the
    case in a frozen backbone, and takes no keyword arguments. This hook wraps
    them in the other variant instead.
    """

    def before_train(self, runner: Runner) -> None:
        """Replaces the wrappers; mmengine puts them on just before."""
        names = runner.cfg.get('activation_checkpointing') or []
        model = unwrapped(runner.model)
        for name in [names] if isinstance(names, str) else names:
            module = attrgetter(name)(model)
            module.forward = _recomputed(module.forward.__wrapped__)


def _recomputed(forward):
    def wrapper(*args, **kwargs):
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)
    return wrapper
