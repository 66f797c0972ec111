"""Two towers, a neck and a head, wired into one model."""
from contextlib import contextmanager
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn

from mmcma.models.adapters import SwitchedAdapters
from mmcma.models.backbones.pretrained import shared_reads
from mmcma.models.backbones.tower import TextTower, Tower, VisionTower, fingerprint
from mmcma.models.batch_encoding import encode_described, encode_in_parts
from mmcma.models.necks.base import Neck
from mmcma.models.text_memory import CaptionKey, TextMemory
from mmcma.registry import MODELS
from mmcma.structures import Features, RetrievalSample, VisualFeatures
from mmcma.utils.errors import ConfigError, NonFiniteError, argument_error

#: Captions of a test batch that are encoded at once: their hidden states stay near the cache's size on a CPU, too.
_CAPTIONS_AT_ONCE = 256
_PRECISIONS = {'fp32': None, 'bf16': torch.bfloat16}


@MODELS.register_module()
class CrossModalRetriever(SwitchedAdapters):
    """Retrieval of visual items by text and of texts by visual items.

    What trains is decided here, before the optimizer is built or DDP wraps
    the model: the neck, the head's trainable parts, and of a tower only what
    it names itself. Everything else is frozen and stays in eval mode.

    Args:
        vision_backbone: Config of a vision tower, or the tower.
        text_backbone: Config of a text tower with the same ``embed_dim``, or the tower.
        head: Config of a :class:`RetrievalHead`.
        neck: Config of a neck that attaches itself to the towers' sites; None
            for the towers as they are.
        data_preprocessor: Config of :class:`RetrievalDataPreprocessor`.
        precision: ``'fp32'``, or ``'bf16'`` for autocast of both towers; features
            and everything after them are float32 in both.
        micro_batch_size: Items whose activations training holds at once, None for
            the whole batch's. Loss and gradients are the whole batch's either way:
            the towers run twice, first for the features of all, then for the
            gradients of a few at a time (Gao et al., "Scaling deep contrastive
            learning batch size under memory limited setup", 2021).

    Raises:
        ConfigError: An argument is out of range or the parts do not fit.
        WeightsError: Pretrained weights cannot be had.
    """

    def __init__(self, *, vision_backbone: dict | VisionTower, text_backbone: dict | TextTower, head: dict,
                 neck: dict | None = None, data_preprocessor: dict | None = None, precision: str = 'fp32',
                 micro_batch_size: int | None = None, init_cfg: dict | None = None) -> None:
        if precision not in _PRECISIONS:
            raise argument_error(self, 'precision', precision, f'must be one of {list(_PRECISIONS)}.')
        if micro_batch_size is not None and micro_batch_size < 1:
            raise argument_error(self, 'micro_batch_size', micro_batch_size, 'must be at least 1, or None.')
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor or dict(type='RetrievalDataPreprocessor')),
                         init_cfg=init_cfg)
        with shared_reads():
            self.vision_backbone, self.text_backbone = (
                part if isinstance(part, Tower) else MODELS.build(part) for part in (vision_backbone, text_backbone))
        self.head = MODELS.build(head)
        self.neck = None if neck is None else MODELS.build(neck)
        self.precision = precision
        self._texts: TextMemory | None = None
        self.micro_batch_size = micro_batch_size
        self._wire()
        self._freeze()

    def _wire(self) -> None:
        vision, text = self.vision_backbone, self.text_backbone
        if vision.embed_dim != text.embed_dim:
            raise ConfigError(f'the vision tower {vision.source!r} embeds in {vision.embed_dim} dimensions, '
                              f'the text tower {text.source!r} in {text.embed_dim}: they must be equal.')
        self.data_preprocessor.bind(image_mean=vision.image_mean, image_std=vision.image_std,
                                    tokenizer=text.tokenizer, context_length=text.context_length,
                                    pads_to_limit=text.pads_to_limit,
                                    num_prompts=0 if self.neck is None else self.neck.num_text_prompts,
                                    frame_captions=self.neck is not None and self.neck.needs_frame_captions)
        self.head.bind(embed_dim=text.embed_dim, logit_scale=text.logit_scale, logit_bias=text.logit_bias,
                       text_tower=text, max_words=self.data_preprocessor.limit)
        if self.neck is not None:
            self.neck.attach(vision=vision, text=text)
            self._check_tokens(self.neck.clip_tokens)

    def _check_tokens(self, clip_tokens: int | None) -> None:
        similarity = self.head.similarity
        if clip_tokens is not None and clip_tokens < similarity.least_tokens:
            raise ConfigError(f'{type(self.neck).__name__} leaves {clip_tokens} token(s) of a clip in place of its '
                              f'frames, and {type(similarity).__name__} needs {similarity.least_tokens}: choose '
                              'another model.head.similarity, such as MeanPool, or another method.')

    def _freeze(self) -> None:
        self.requires_grad_(False)
        owned = [*self.vision_backbone.trainable_parameters(), *self.text_backbone.trainable_parameters(),
                 *self.head.trainable_parameters()]
        if self.neck is not None:
            owned += self.neck.parameters()
        for parameter in owned:
            parameter.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> 'CrossModalRetriever':
        """Training or eval mode, as torch sets it, but a part in which no weight trains stays in eval mode."""
        super().train(mode)
        for module in self.modules():
            if module is not self and module.training and {p.requires_grad for p in module.parameters()} == {False}:
                module.eval()
        return self

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that train, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    @property
    def backbone_name(self) -> str:
        """``pretrained`` of the towers: one name, or ``vision + text`` where they differ."""
        names = [tower.source or 'from scratch' for tower in (self.vision_backbone, self.text_backbone)]
        return ' + '.join(dict.fromkeys(names))

    def backbone_fingerprint(self) -> str | None:
        """Hex digest of both towers' tensors as they are now, or None for towers from scratch.

        It names the pretrained weights, so take it before anything trains;
        see :func:`~mmcma.models.backbones.tower.fingerprint`.
        """
        towers = dict(vision=self.vision_backbone, text=self.text_backbone)
        return None if any(tower.source is None for tower in towers.values()) else fingerprint(towers)

    @contextmanager
    def zero_shot(self):
        """A context in which the model works without its neck."""
        if self.neck is None:
            yield
            return
        with self.neck.disabled(), self.data_preprocessor.without_prompts():
            yield

    def _autocast(self):
        dtype = _PRECISIONS[self.precision]
        return torch.autocast(self.data_preprocessor.device.type, dtype=dtype, enabled=dtype is not None)

    def encode_visual(self, frames: Tensor, mask: Tensor | None = None) -> VisualFeatures:
        """Embeddings of videos or images.

        Args:
            frames: uint8 ``(B, T, 3, H, W)``; an image has T = 1.
            mask: bool ``(B, T)``, False on padding frames; None when all are valid.

        Returns:
            ``tokens`` float32 ``(B, T, D)``, ``pooled`` ``(B, D)``, their mean
            over valid frames, and ``mask``; before L2 normalisation. With a
            neck of ``clip_tokens`` K, ``tokens`` are ``(B, K, D)`` and all valid.
        """
        device = self.data_preprocessor.device
        pixels = self.data_preprocessor.normalise(frames.to(device))
        return self._encode_pixels(pixels, None if mask is None else mask.to(device))

    def _encode_pixels(self, pixels: Tensor, mask: Tensor | None) -> VisualFeatures:
        """Normalised clips ``(B, T, 3, H, W)`` and their mask ``(B, T)`` as features."""
        with self._autocast():
            tokens = self.vision_backbone(pixels, mask)  # (B, T, D), or (B, clip_tokens, D)
        neck = self._working_neck()
        return Features.of_frames(tokens.float(), mask if neck is None or neck.clip_tokens is None else None)

    def _encode_to_train(self, pixels: Tensor, mask: Tensor | None) -> VisualFeatures:
        """:meth:`_encode_pixels` with what the neck's losses need."""
        features, neck = self._encode_pixels(pixels, mask), self._working_neck()
        return features if neck is None else features._replace(extra=neck.extra_features())

    def _working_neck(self) -> Neck | None:
        return self.neck if self.neck is not None and self.neck.enabled else None

    def encode_text(self, captions: list[str]) -> Features:
        """Embeddings of captions before L2 normalisation, float32.

        Returns:
            ``pooled`` ``(N, D)``; where the head's similarity compares words,
            also ``tokens`` ``(N, L, D)`` and ``mask`` bool ``(N, L)``.
        """
        token_ids, mask, keys = self.data_preprocessor.tokenise_with_keys(captions)
        return TextMemory().features(keys, token_ids, mask, self._encode_sorted)

    @contextmanager
    def remembering_captions(self):
        """A context in which predict mode encodes each distinct caption once; the weights must stay as they are.

        Where the similarity compares words, which take much memory, once a batch.
        """
        self._texts = None if self.head.similarity.needs_text_tokens else TextMemory('cpu')
        try:
            yield
        finally:
            self._texts = None

    def _encode_sorted(self, token_ids: Tensor, mask: Tensor) -> Features:
        """Features of captions, like lengths together: each pads to the longest beside it, not to that of all."""
        if len(token_ids) <= _CAPTIONS_AT_ONCE:
            return self._encode_tokens(token_ids, mask)
        order = mask.sum(dim=1).argsort(stable=True)
        alike = (self.data_preprocessor.trim(token_ids[rows], mask[rows]) for rows in order.split(_CAPTIONS_AT_ONCE))
        return Features.join([self._encode_tokens(*some) for some in alike]).rows(order.argsort())

    def _encode_tokens(self, token_ids: Tensor, mask: Tensor, with_tokens: bool = False) -> Features:
        """Features of captions, with each token's where asked for or where the similarity needs them."""
        with_tokens |= self.head.similarity.needs_text_tokens
        with self._autocast():
            text = self.text_backbone(token_ids, mask, with_tokens=with_tokens)
        return Features(text.pooled.float(), None if text.tokens is None else text.tokens.float(), text.mask)

    def similarity(self, text: Features, visual: Features) -> Tensor:
        """Scores ``(N, M)``, float32, of any block of texts and any of items: cosines, not scaled, or logits."""
        return self.head(text, visual)

    def frame_weights(self, text: Features, visual: Features) -> Tensor | None:
        """Share of each frame in a score: ``(N, M, T)``; None where frames have none, or tokens are no frames."""
        neck = self._working_neck()
        if neck is not None and neck.clip_tokens is not None:
            return None
        return self.head.similarity.frame_weights(text, visual)

    # Only the towers are worth compiling; captions and ids, which are new in every batch, would be guarded on.
    @torch.compiler.disable(recursive=False)
    def forward(self, inputs: dict, data_samples: list[RetrievalSample],
                mode: str = 'tensor') -> dict | list | tuple:
        """mmengine's three modes, on what the data preprocessor gives.

        Args:
            inputs: ``pixels`` float32 ``(B, T, 3, H, W)``, ``mask`` bool ``(B, T)``, and of all captions
                ``token_ids`` int64 ``(N, L)``, ``token_mask`` bool ``(N, L)`` and, to predict, ``caption_keys``;
                see :meth:`RetrievalDataPreprocessor.forward`.
            data_samples: One :class:`RetrievalSample` per item.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.

        Returns:
            ``'loss'``: dict of scalars. ``'predict'``: the samples with their
            features. ``'tensor'``: text and visual :class:`Features`.
        """
        if mode not in ('loss', 'predict', 'tensor'):
            raise ValueError(f"mode={mode!r} must be 'loss', 'predict' or 'tensor'.")
        clips, captions = (inputs['pixels'], inputs['mask']), (inputs['token_ids'], inputs['token_mask'])
        if mode == 'loss':
            visual = encode_in_parts(self.micro_batch_size, self._encode_to_train, *clips)
            neck = self._working_neck()
            encode_text = partial(self._encode_tokens, with_tokens=neck is not None and neck.needs_text_tokens)
            rows = [*captions]
            if self.neck is not None and self.neck.needs_frame_captions:
                encode_text = partial(encode_described, self.neck, encode_text)
                rows.append(inputs['mask'])
            text = encode_in_parts(self.micro_batch_size, encode_text, *rows)
            return self.loss(text, visual, data_samples)
        visual = self._encode_pixels(*clips)
        if mode == 'tensor':
            return self._encode_sorted(*captions), visual
        keys = inputs['caption_keys']
        text = (self._texts or TextMemory()).features(keys, *captions, self._encode_sorted)
        return self.predict(text, visual, data_samples, keys)

    @torch.compiler.disable(recursive=False)
    def loss(self, text: Features, visual: Features, data_samples: list[RetrievalSample]) -> dict[str, Tensor]:
        """Losses of a batch with one caption an item: the head's and the neck's, see :meth:`RetrievalHead.loss`.

        Raises:
            NonFiniteError: The loss is NaN or infinite; the error names the items.
        """
        item_index = torch.tensor([sample.item_index for sample in data_samples], device=text.pooled.device)
        neck = self._working_neck()
        losses = self.head.loss(text, visual, item_index, None if neck is None else neck.losses)
        total = torch.stack([value for name, value in losses.items() if 'loss' in name]).sum()
        if not torch.isfinite(total):
            raise NonFiniteError(f'the loss is {total.item()} on the items '
                                 f'{[sample.item_id for sample in data_samples]}; stopped before the weights were '
                                 'changed. Lower optim_wrapper.optimizer.lr, or look at these items.')
        return losses

    @staticmethod
    def predict(text: Features, visual: VisualFeatures, data_samples: list[RetrievalSample],
                keys: list[CaptionKey]) -> list[RetrievalSample]:
        """The samples with their features on the CPU and the keys of their captions; see :class:`RetrievalSample`.

        Each has copies of its own: a view keeps its whole batch in memory, and pickled takes all of it along.
        """
        counts = [len(sample.captions) for sample in data_samples]
        remaining = iter(keys)
        for sample, count in zip(data_samples, counts):
            sample.caption_keys = list(islice(remaining, count))
        for name, rows in (('text_pooled', text.pooled), ('text_tokens', text.tokens), ('text_mask', text.mask)):
            if rows is not None:
                for sample, own in zip(data_samples, rows.cpu().split(counts)):
                    sample.set_field(own.clone(), name)
        mask = torch.ones(visual.tokens.shape[:2], dtype=torch.bool) if visual.mask is None else visual.mask
        for sample, tokens, valid in zip(data_samples, visual.tokens.cpu(), mask.cpu()):
            sample.visual_tokens, sample.visual_mask = tokens.clone(), valid.clone()
        return data_samples
