"""mmengine's activation checkpointing on models whose inputs need no gradient."""
from operator import attrgetter

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.checkpoint import checkpoint

from mmcma.engine.loops import unwrapped
from mmcma.models.backbones.tower import Tower
from mmcma.registry import HOOKS


@HOOKS.register_module()
class ActivationCheckpointHook(Hook):
    """Makes ``activation_checkpointing = ['vision_backbone', …]`` of a config right for frozen backbones.

    mmengine wraps the modules in PyTorch's reentrant variant, which gives no
    gradient to what lies inside a module whose inputs need none, as is the
    case in a frozen backbone, and takes no keyword arguments. This hook wraps
    them in the other variant instead, and a tower layer by layer: recomputed
    as a whole it would hold all of its activations at once in the backward pass.
    """

    def before_train(self, runner: Runner) -> None:
        """Replaces the wrappers; mmengine puts them on just before."""
        names = runner.cfg.get('activation_checkpointing') or []
        model = unwrapped(runner.model)
        for name in [names] if isinstance(names, str) else names:
            module = attrgetter(name)(model)
            plain = module.forward.__wrapped__
            if isinstance(module, Tower):
                module.forward = plain
                for block in module.blocks:
                    block.forward = _recomputed(block.forward)
            else:
                module.forward = _recomputed(plain)


def _recomputed(forward):
    def wrapper(*args, **kwargs):
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)
    return wrapper
