"""The metric of a retrieval test set."""
import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from mmengine.dist import broadcast_object_list
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmcma.evaluation.extra import Extra
from mmcma.evaluation.gather import gather_samples
from mmcma.evaluation.ranking import V2T_PROTOCOLS, RetrievalRanks, TiledScores, rank_metrics, retrieval_ranks
from mmcma.evaluation.retrieval_result import RetrievalResult
from mmcma.evaluation.sweeps import first_of
from mmcma.registry import METRICS
from mmcma.structures import Features, VisualFeatures, padded
from mmcma.utils.errors import ConfigError, DataError, UserError, argument_error


@METRICS.register_module()
class RetrievalMetric(BaseMetric):
    """R@1, R@5, R@10 (percent), median and mean rank, in both directions.

    Keys are ``t2v/R@1`` … ``t2v/MnR``, ``v2t/…``, and ``t2v/{kind}/…`` for every
    kind of caption that the data set marks. ``gallery`` says ``'1,335 of 1,500'``;
    where items are missing, ``gallery/present`` and ``gallery/expected`` join it
    as numbers, for the stores that keep only those. Each of ``extras`` adds
    its own figures under its own key, such as ``dsl/t2v/R@1``.

    The loops of :mod:`mmcma.engine.loops` set ``similarity`` to the model's and
    ``dataset_gallery`` to the data set's. After an evaluation, ``result`` on
    rank 0 is a :class:`RetrievalResult`.

    Args:
        v2t_protocol: ``'best_caption'`` ranks all captions and takes an item's best;
            ``'max_over_captions'`` takes each item's best caption first and
            ranks items, as CLIP4Clip does. See :mod:`mmcma.evaluation.ranking`.
        top_k: How many of the best items of each caption are kept in ``result``.
        text_block: Captions in a tile.
        folds: Also report the mean over this many equal consecutive parts of the
            items, each ranked by itself, under keys that name their size:
            ``t2v/1k/R@1`` for 5 parts of COCO's 5,000 test photos (Karpathy and
            Fei-Fei, CVPR 2015). Left out, with a warning, where the items cannot
            be divided equally.
        visual_block: Visual items in a tile; a tile of a frame-wise similarity
            takes about ``text_block * visual_block * T * 4`` bytes.
        extras: Configs of :class:`~mmcma.evaluation.extra.Extra`: ``DualSoftmax``,
            ``QuerybankNorm``, ``Reranking``.
        prefix: Put before every key; only needed to tell two such metrics apart.

    Raises:
        ConfigError: The protocol is unknown or not one that an extra knows, two extras have one key,
            or no similarity was bound before ``evaluate``.
        DataError: The test set is empty or gives one item in two versions.
        NonFiniteError: A similarity is NaN or infinite.
    """
    default_prefix = ''  # none: mmengine would warn about None

    def __init__(self, *, v2t_protocol: str = 'best_caption', top_k: int = 5, text_block: int = 512,
                 visual_block: int = 512, folds: int = 1, extras: Sequence[dict] = (),
                 prefix: str | None = None) -> None:
        super().__init__(prefix=prefix)
        if v2t_protocol not in V2T_PROTOCOLS:
            raise argument_error(self, 'v2t_protocol', v2t_protocol, f'is unknown; choose one of {V2T_PROTOCOLS}.')
        for name, number in dict(folds=folds, top_k=top_k).items():
            if not isinstance(number, int) or number < 1:
                raise argument_error(self, name, number, 'must be a whole number from 1 up.')
        self.v2t_protocol = v2t_protocol
        self.top_k, self.folds = top_k, folds
        self.blocks = dict(text_block=text_block, visual_block=visual_block)
        self.extras = [METRICS.build(extra) for extra in extras]
        _check_extras(self.extras, v2t_protocol)
        self.similarity: Callable[[Features, Features], Tensor] | None = None
        self.dataset_gallery: tuple[int, int] | None = None
        self.result: RetrievalResult | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps what ranking needs of a batch of :class:`~mmcma.structures.RetrievalSample` dicts."""
        for sample in data_samples:
            tokens = sample['visual_tokens']  # (T, D)
            mask = sample.get('visual_mask', sample.get('frame_mask'))
            mask = torch.ones(len(tokens), dtype=torch.bool) if mask is None else torch.as_tensor(mask)
            self.results.append(dict(
                item_index=int(sample['item_index']), item_id=sample['item_id'],
                captions=list(sample['captions']), caption_kinds=sample.get('caption_kinds'),
                caption_keys=sample.get('caption_keys') or list(sample['captions']),
                visual_tokens=tokens.detach().cpu(), text_pooled=sample['text_pooled'].detach().cpu(),
                frame_mask=mask.cpu(), **_words(sample)))

    def evaluate(self, size: int) -> dict[str, float | str]:
        """The metrics of all ranks' samples, equal on all ranks to those of one process.

        Args:
            size: Items of the data set, to see whether any were left out.
        """
        samples = gather_samples(self.results)
        self.results.clear()
        outcome: list = [None]
        if samples is not None:  # on rank 0
            try:
                expected = self.dataset_gallery[1] if self.dataset_gallery else 0
                metrics = self.compute_metrics(samples, expected=max(expected, size))
                outcome = [{f'{self.prefix}/{key}' if self.prefix else key: v for key, v in metrics.items()}]
            except UserError as error:
                outcome = [error]  # the other ranks wait for an outcome, good or bad
        broadcast_object_list(outcome)
        if isinstance(outcome[0], UserError):
            raise outcome[0]
        return outcome[0]

    @torch.no_grad()
    def compute_metrics(self, results: list[dict], expected: int = 0) -> dict[str, float | str]:
        """Ranks the samples in the order of the data set.

        Args:
            results: What ``process`` kept, in any order, with the copies that a
                distributed sampler adds to fill the last batch.
            expected: Items that the gallery should have; 0 if unknown.
        """
        if self.similarity is None:
            raise ConfigError('RetrievalMetric has no similarity; set val_cfg.type to "RetrievalValLoop", '
                              'test_cfg.type to "RetrievalTestLoop", or metric.similarity in Python')
        samples = _in_dataset_order(results)
        text, caption_text = _texts(samples)
        visual = _visual(samples)
        captions = [caption for sample in samples for caption in sample['captions']]
        caption_item = torch.arange(len(samples)).repeat_interleave(
            torch.tensor([len(sample['captions']) for sample in samples]))
        item_ids = [sample['item_id'] for sample in samples]
        scores = TiledScores(self.similarity, text, visual, caption_text)
        ranks = self._rank(scores, caption_item, item_ids, top_k=self.top_k)
        kinds = _caption_kinds(samples)
        gallery = (len(samples), max(expected, len(samples)))
        metrics: dict[str, float | str] = {**_flat_metrics(ranks, kinds)}
        folds = self._fold_names(len(samples))
        for name in folds:
            metrics.update(self._fold_metrics(name, scores, caption_item, item_ids))
        for extra in self.extras:
            further = extra.ranks(scores, caption_item, v2t_protocol=self.v2t_protocol, item_ids=item_ids,
                                  **self.blocks)
            metrics.update({f'{extra.key}/{key}': v for key, v in _flat_metrics(further, kinds).items()})
        metrics.update(self._further_metrics(scores, samples, ranks))
        metrics.update(_gallery_metrics(*gallery))
        self.result = RetrievalResult(
            metrics, dict(t2v='every_caption', v2t=self.v2t_protocol), gallery, *ranks, item_ids,
            [sample['item_index'] for sample in samples], captions, caption_item, kinds, folds)
        return metrics

    def _further_metrics(self, scores: TiledScores, samples: list[dict], ranks: RetrievalRanks) -> dict[str, float]:
        """What a subclass adds, from the scores of the samples' captions and items, in their order."""
        return {}

    def _rank(self, scores: TiledScores, caption_item: Tensor, item_ids: list[str], top_k: int = 0) -> RetrievalRanks:
        return retrieval_ranks(scores, caption_item, top_k=top_k, v2t_protocol=self.v2t_protocol, item_ids=item_ids,
                               **self.blocks)

    def _fold_names(self, num_items: int) -> dict[str, int]:
        """The name of the folds, which says their size, and their number; empty without folds."""
        size, rest = divmod(num_items, self.folds)
        if self.folds == 1:
            return {}
        if rest or not size:
            print_log(f'{num_items:,} items cannot be divided into {self.folds} equal folds: no figures on folds',
                      logger='current', level=logging.WARNING)
            return {}
        return {f'{size // 1000}k' if size % 1000 == 0 else str(size): self.folds}

    def _fold_metrics(self, name: str, scores: TiledScores, caption_item: Tensor,
                      item_ids: list[str]) -> dict[str, float]:
        """The mean over the folds of each metric; captions stand in the order of their items."""
        size = len(item_ids) // self.folds
        folds = []
        for first in range(0, len(item_ids), size):
            start, stop = torch.searchsorted(caption_item, torch.tensor([first, first + size])).tolist()
            items, captions = slice(first, first + size), slice(start, stop)
            ranks = self._rank(scores.part(captions, items), caption_item[captions] - first, item_ids[items])
            folds.append(_flat_metrics(ranks, None))
        return {key.replace('/', f'/{name}/'): sum(fold[key] for fold in folds) / len(folds) for key in folds[0]}


def _check_extras(extras: list[Extra], v2t_protocol: str) -> None:
    for extra in extras:
        if v2t_protocol not in extra.v2t_protocols:
            raise ConfigError(f'RetrievalMetric.v2t_protocol={v2t_protocol!r}: {type(extra).__name__} knows '
                              f'{extra.v2t_protocols} only')
    for key, count in Counter(extra.key for extra in extras).items():
        if count > 1:
            raise ConfigError(f'RetrievalMetric.extras: {count} of them report under {key!r}; give each its own key=')


def _words(sample: dict) -> dict[str, Tensor]:
    """The words of all captions in one row, ``(W, D)``, without padding, which is the batch's; and how many of each.

    Empty where the similarity compares none. All in all they take
    ``words * D * 4`` bytes: 1.3 GB for 25,010 captions of 25 words and D = 512.
    """
    if 'text_tokens' not in sample:
        return {}
    mask = sample['text_mask']  # (n, L)
    return dict(text_tokens=sample['text_tokens'].detach()[mask].cpu(), text_lengths=mask.sum(1).cpu())


def _in_dataset_order(results: list[dict]) -> list[dict]:
    unique: dict[int, dict] = {}
    for sample in results:
        first = unique.setdefault(sample['item_index'], sample)
        if first['captions'] != sample['captions']:
            raise DataError(f'item {sample["item_id"]!r} came twice with different captions; '
                            'set test_mode=True in the data set of val_dataloader and test_dataloader')
    if not unique:
        raise DataError('no item was tested; the data set of the test or validation dataloader is empty')
    return [unique[index] for index in sorted(unique)]


def _texts(samples: list[dict]) -> tuple[Features, Tensor | None]:
    """Features of the distinct captions ``(U, …)``, as they came first, and which of them each of all N is, ``(N,)``.

    Equal captions were perhaps encoded in batches of different shape, which may differ in the last bits.
    None, and all N features, where no two captions are equal.
    """
    numbers: dict[Hashable, int] = {}
    of_caption = torch.tensor([numbers.setdefault(key, len(numbers))
                               for sample in samples for key in sample['caption_keys']])
    first = first_of(of_caption)
    text = Features(torch.cat([sample['text_pooled'] for sample in samples])[first].float())  # (U, D)
    if 'text_tokens' in samples[0]:
        words = [caption for sample in samples for caption in sample['text_tokens'].split(
            sample['text_lengths'].tolist())]
        text = Features(text.pooled, *padded([words[index].float() for index in first.tolist()]))
    return text, None if len(first) == len(of_caption) else of_caption


def _visual(samples: list[dict]) -> VisualFeatures:
    """Features of all items ``(M, …)``; shorter clips are padded at the end."""
    tokens, _ = padded([sample['visual_tokens'].float() for sample in samples])  # (M, T, D)
    mask = pad_sequence([sample['frame_mask'] for sample in samples], batch_first=True)  # (M, T)
    return Features.of_frames(tokens, None if mask.all() else mask)


def _caption_kinds(samples: list[dict]) -> list[str | None] | None:
    kinds = [kind for sample in samples
             for kind in sample['caption_kinds'] or [None] * len(sample['captions'])]
    return kinds if any(kinds) else None


def _flat_metrics(ranks: RetrievalRanks, kinds: list[str | None] | None) -> dict[str, float]:
    groups = {'t2v': ranks.t2v, 'v2t': ranks.v2t}
    kinds = kinds or []
    for kind in sorted({kind for kind in kinds if kind}):
        groups[f't2v/{kind}'] = ranks.t2v[torch.tensor([other == kind for other in kinds])]
    return {f'{name}/{key}': value
            for name, group in groups.items() for key, value in rank_metrics(group).items()}


def _gallery_metrics(present: int, expected: int) -> dict[str, float | str]:
    shown: dict[str, float | str] = {'gallery': f'{present:,} of {expected:,}'}
    if present == expected:
        return shown
    print_log(f'The gallery has {present:,} of the {expected:,} items that the protocol expects: the numbers are '
              'better than, and not comparable with, those of the whole set.',
              logger='current', level=logging.WARNING)
    return {'gallery/present': float(present), 'gallery/expected': float(expected), **shown}
