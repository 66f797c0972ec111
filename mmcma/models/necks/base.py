"""Base of the methods that attach themselves to the towers."""
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmcma.models.backbones.tower import TextTower, Tower, VisionTower
from mmcma.utils.errors import ConfigError

#: Attribute of a tower's module: which method rewrites its input or output, and the handle of that hook.
_CLAIMS = '_rewritten_by'


class Neck(BaseModule):
    """A method: weights of its own, hooked into towers that do not know of it.

    A subclass builds its weights in :meth:`attach`, where it learns the towers'
    widths and depths, and rewrites hidden states through :meth:`rewrite_output`,
    :meth:`rewrite_branch`, :meth:`rewrite_input` and :meth:`rewrite_call`. What
    it gives to them must be a bound method or a ``functools.partial`` that is
    given its modules: those survive the ``copy.deepcopy`` of mmengine's EMA,
    closures do not.

    Attributes:
        num_text_prompts (int): Learned tokens that the method puts into every
            caption; the caption's own limit shrinks by them.
        needs_several_frames (bool): Whether the method relates the frames of a
            clip, so that images give it nothing to do.
        num_frames (int): Where the method called :meth:`watch_clips`: frames T of a clip in the batch at hand,
            whose hidden states are ``(B * T, ...)``, clip after clip.
        frame_mask (Tensor): Mask of those clips, bool ``(B, T)``, False on padding frames; None where there are none.
    """
    num_text_prompts = 0
    needs_several_frames = False

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True
        self.num_frames = 1
        self.frame_mask: Tensor | None = None

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the method's weights and hooks them to the towers; called once, by the model's constructor.

        Raises:
            ConfigError: A tower lacks what the method needs, or another method has claimed the place.
        """
        raise NotImplementedError

    def rewrite_output(self, module: nn.Module, function: Callable[[Tensor], Tensor], where: str) -> None:
        """Puts ``function(output)`` in the place of the module's output, or of the first of a tuple.

        Args:
            module: Part of a tower.
            function: Hidden states ``(..., L, dim)`` in and out.
            where: What messages call the place, such as ``'vision layer 3 attn'``.
        """
        hook = partial(self._on_output, function)
        self._rewrite(module, 'output', where, partial(module.register_forward_hook, hook))

    def rewrite_branch(self, module: nn.Module, function: Callable[[Tensor, Tensor], Tensor], where: str) -> None:
        """Puts ``function(input, output)``, of the first input, in the place of the module's output."""
        hook = partial(self._on_branch, function)
        self._rewrite(module, 'output', where, partial(module.register_forward_hook, hook, with_kwargs=True))

    def rewrite_input(self, module: nn.Module, function: Callable[[Tensor], Tensor], where: str) -> None:
        """Puts ``function(input)`` in the place of the module's first argument."""
        hook = partial(self._on_input, function)
        self._rewrite(module, 'input', where, partial(module.register_forward_pre_hook, hook, with_kwargs=True))

    def rewrite_call(self, module: nn.Module, function: Callable[..., tuple[tuple, dict]], where: str) -> None:
        """Puts the ``(args, kwargs)`` that ``function(*args, **kwargs)`` gives in the place of the module's."""
        hook = partial(self._on_call, function)
        self._rewrite(module, 'input', where, partial(module.register_forward_pre_hook, hook, with_kwargs=True))

    def _on_output(self, function, module, args, output):
        if not self.enabled:
            return None
        return (function(output[0]), *output[1:]) if isinstance(output, tuple) else function(output)

    def _on_branch(self, function, module, args, kwargs, output):
        entered = args[0] if args else next(iter(kwargs.values()))
        return self._on_output(partial(function, entered), module, args, output)

    def _on_input(self, function, module, args, kwargs):
        if not self.enabled:
            return None
        if args:
            return (function(args[0]), *args[1:]), kwargs
        first = next(iter(kwargs))
        return args, {**kwargs, first: function(kwargs[first])}

    def _on_call(self, function, module, args, kwargs):
        return function(*args, **kwargs) if self.enabled else None

    def _rewrite(self, module: nn.Module, end: str, where: str, register: Callable[[], RemovableHandle]) -> None:
        claims = module.__dict__.setdefault(_CLAIMS, {})
        if end in claims:
            other, _ = claims[end]
            raise ConfigError(f'{other} and {type(self).__name__} both rewrite the {end} of {where}; '
                              'keep one of them there.')
        claims[end] = type(self).__name__, register()

    @contextmanager
    def disabled(self):
        """A context in which the towers work as if the neck were not there."""
        was_enabled = self.enabled
        self.enable(False)
        try:
            yield
        finally:
            self.enable(was_enabled)

    def enable(self, on: bool) -> None:
        """Switches the method on or off; its weights stay."""
        self.enabled = on

    def watch_clips(self, vision: VisionTower) -> None:
        """Keeps :attr:`num_frames` and :attr:`frame_mask` those of the clips that the tower was last called with."""
        vision.register_forward_pre_hook(partial(self._on_clips), with_kwargs=True)

    def _on_clips(self, module, args, kwargs) -> None:
        pixels = args[0]
        self.num_frames = pixels.shape[1] if pixels.ndim == 5 else 1
        self.frame_mask = args[1] if len(args) > 1 else kwargs.get('mask')


@contextmanager
def unclaimed(*towers: Tower):
    """A context in which a neck may rewrite places that earlier ones have: of several, one at a time is enabled.

    Two methods of the new neck still exclude each other. What an error leaves half attached is taken off again.
    """
    modules = [module for tower in towers for module in tower.modules()]
    for module in modules:
        module.__dict__.pop(_CLAIMS, None)
    try:
        yield
    except BaseException:
        for module in modules:
            for _, handle in module.__dict__.pop(_CLAIMS, {}).values():
                handle.remove()
        raise
