"""Base of the methods that attach themselves to the towers."""
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcma.models.backbones.tower import TextTower, Tower, VisionTower
from mmcma.structures import Features
from mmcma.utils.errors import ConfigError

#: Attribute of a tower's module: which method rewrites its input, output or call, and what takes that off again.
_CLAIMS = '_rewritten_by'


class Neck(BaseModule):
    """A method: weights of its own, hooked into towers that do not know of it.

    A subclass builds its weights in :meth:`attach`, where it learns the towers'
    widths and depths, and rewrites hidden states through :meth:`rewrite_output`,
    :meth:`rewrite_branch`, :meth:`rewrite_input`, :meth:`rewrite_call` and
    :meth:`rewrite_around`. What it gives to them must be a bound method or a
    ``functools.partial`` that is given its modules: those survive the
    ``copy.deepcopy`` of mmengine's EMA, closures do not. It may run twice for
    one batch, layer by layer, where activations are computed again: what one
    layer leaves for a later one must be kept for each layer apart.

    Attributes:
        num_text_prompts (int): Learned tokens that the method puts into every
            caption; the caption's own limit shrinks by them.
        needs_several_frames (bool): Whether the method relates the frames of a
            clip, so that images give it nothing to do.
        frames_are_multiple_of (str | None): Argument of the method that divides the number of frames of every clip.
        clip_tokens (int | None): Where the vision tower gives tokens of the whole clip with this method, and not one
            a frame: how many.
        merges_tokens (bool): Whether rows and tokens of the vision tower are others behind some layer of it.
        needs_places (bool): Whether the method counts on them: on a frame for each row, and on where its tokens stand.
        needs_text_tokens (bool): Whether :meth:`losses` compares words.
        needs_frame_captions (bool): Whether :meth:`losses` compares captions of single frames: in training every sample
            brings those of its T frames, and ``extra['frame_captions']`` of the text features is float32 ``(N, T, D)``.
        frame_captions_where (str | None): Argument of the method that says so.
        described_frames (int): In a training with such captions: T, the rows of the text tower that follow each
            caption's, its frames'; 0 where captions stand alone.
        num_frames (int): Where the method called :meth:`watch_clips`: frames T of a clip in the batch at hand,
            whose hidden states are ``(B * T, ...)``, clip after clip.
        frame_mask (Tensor): Mask of those clips, bool ``(B, T)``, False on padding frames; None where there are none.
    """
    num_text_prompts = 0
    needs_several_frames = False
    frames_are_multiple_of: str | None = None
    clip_tokens: int | None = None
    merges_tokens = False
    needs_places = False
    needs_text_tokens = False
    needs_frame_captions = False
    frame_captions_where: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True
        self.described_frames = 0
        self.num_frames = 1
        self.frame_mask: Tensor | None = None

    def attach(self, *, vision: VisionTower, text: TextTower) -> None:
        """Builds the method's weights and hooks them to the towers; called once, by the model's constructor.

        Raises:
            ConfigError: A tower lacks what the method needs, or another method has claimed the place.
        """
        raise NotImplementedError

    def losses(self, text: Features, visual: Features, positives: Tensor, logits: Tensor,
               scale: Tensor) -> dict[str, Tensor]:
        """Losses of a training batch beside the head's, scalars by name, weighted already; by default none.

        The model's loss dict has them as ``loss_<name>``. Tests do not ask for them.

        Args:
            text: Features of the N captions of all processes.
            visual: Features of their N items; ``extra`` is what :meth:`extra_features` gave.
            positives: bool ``(N, N)``, which caption describes which item.
            logits: ``(N, N)``, what the head's loss compares: its scores of captions and items, scaled.
            scale: The head's factor of cosines.
        """
        return {}

    def extra_features(self) -> dict[str, Tensor]:
        """What :meth:`losses` needs of the B clips that the vision tower has just encoded: ``(B, ...)`` by name.

        It reaches them with its gradient, joined over the parts of a batch and all processes; so ``...`` is the same
        for all.
        """
        return {}

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

    def rewrite_around(self, module: nn.Module, function: Callable[..., Any], where: str) -> None:
        """Runs ``function(call, *args, **kwargs)`` in the place of the module's own computation.

        ``call(*args, **kwargs)`` is that computation: it may run never, once or several times, on hidden states of
        any shape. What is hooked to the module's input and output, by other methods too, stays before and after it.
        """
        self._rewrite(module, 'call', where, partial(_Around, module, partial(self._on_around, function)))

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

    def _on_around(self, function, call, *args, **kwargs):
        return function(call, *args, **kwargs) if self.enabled else call(*args, **kwargs)

    def _rewrite(self, module: nn.Module, end: str, where: str, register: Callable[[], '_Handle']) -> None:
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

    def describe(self, num_frames: int) -> None:
        """Sets :attr:`described_frames`."""
        self.described_frames = num_frames

    def watch_clips(self, vision: VisionTower) -> None:
        """Keeps :attr:`num_frames` and :attr:`frame_mask` those of the clips that the tower was last called with."""
        self.needs_places = True
        vision.register_forward_pre_hook(partial(self._on_clips), with_kwargs=True)

    def _on_clips(self, module, args, kwargs) -> None:
        pixels = args[0]
        self.num_frames = pixels.shape[1] if pixels.ndim == 5 else 1
        self.frame_mask = args[1] if len(args) > 1 else kwargs.get('mask')


class _Handle(Protocol):
    def remove(self) -> None: ...


@dataclass
class _Around:
    """A module's ``forward`` with ``function`` around it, as an attribute of the module, until it is removed."""
    module: nn.Module
    function: Callable[..., Any]

    def __post_init__(self) -> None:
        self.inner = self.module.forward
        self.module.forward = partial(self.function, self.inner)

    def remove(self) -> None:
        self.module.forward = self.inner


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
