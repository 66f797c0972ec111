"""Items that share captions: figures depend on no batch, no process and no tile, and are those of exact scores."""
import random
from functools import cache

import pytest
import torch
from helpers.clip import TOKENIZER, clip_config, model_config
from helpers.processes import in_group
from torch import distributed

from mmcma.evaluation import RetrievalMetric
from mmcma.structures import RetrievalSample

ITEMS = 36
EXTRAS = (dict(type='DualSoftmax'), dict(type='QuerybankNorm'), dict(type='Reranking', top_n=7))


@cache
def captions() -> list[list[str]]:
    """1 to 3 captions an item out of 24, of different length; some differ in capitals and blanks only."""
    rng = random.Random(1)
    names = [f'a {colour} {shape}{tail}' for colour in ('red', 'green') for shape in ('circle', 'square', 'star')
             for tail in ('', ' moving left', ' and another one that turns around slowly', ', alone')]
    spelled = (str, str, str.upper, lambda name: f'  {name.replace(" ", "  ")} ')
    return [[rng.choice(spelled)(rng.choice(names)) for _ in range(rng.randint(1, 3))] for _ in range(ITEMS)]


def build_model(similarity: str):
    import mmcma.models  # noqa: F401
    from mmcma.registry import MODELS
    torch.manual_seed(0)
    tower = dict(config=clip_config())
    head = dict(type='RetrievalHead', similarity=dict(type=similarity), loss=dict(type='SymmetricInfoNCE'))
    return MODELS.build(model_config('', head=head, vision_backbone=dict(type='HFVisionTower', **tower), text_backbone=(
        dict(type='HFTextTower', tokenizer=TOKENIZER, **tower)))).eval()


def sample(index: int) -> dict:
    clip = RetrievalSample(item_id=str(index), item_index=index, path='', captions=captions()[index],
                           frame_mask=torch.tensor([True, index % 3 > 0]))
    frames = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
    return dict(inputs=frames, data_samples=clip)


@torch.no_grad()
def evaluate(model, batch_size: int, indices=range(ITEMS), **options) -> tuple[dict, RetrievalMetric]:
    metric = RetrievalMetric(**options)
    metric.similarity = model.similarity
    for start in range(0, len(indices), batch_size):
        samples = [sample(index) for index in indices[start:start + batch_size]]
        data = {key: [one[key] for one in samples] for key in samples[0]}
        metric.process(None, [one.to_dict() for one in model(**model.data_preprocessor(data), mode='predict')])
    return metric.evaluate(ITEMS), metric


@torch.no_grad()
def exact_ranks(model) -> tuple[list[float], list[float]]:
    """Both directions, counted one by one, from scores of each distinct caption that were computed once."""
    texts = [' '.join(caption.lower().split()) for own in captions() for caption in own]
    owner = [item for item, own in enumerate(captions()) for _ in own]
    distinct = sorted(set(texts))
    clips = [sample(index) for index in range(ITEMS)]
    visual = model.encode_visual(torch.stack([clip['inputs'] for clip in clips]),
                                 torch.stack([clip['data_samples'].frame_mask for clip in clips]))
    scores = model.similarity(model.encode_text(distinct), visual)[[distinct.index(text) for text in texts]].tolist()
    t2v = [rank(row[own], [score for item, score in enumerate(row) if item != own]) for row, own in zip(scores, owner)]
    v2t = [rank(max(row[item] for row, own in zip(scores, owner) if own == item),
                [row[item] for row, own in zip(scores, owner) if own != item]) for item in range(ITEMS)]
    return t2v, v2t


def rank(score: float, rivals: list[float]) -> float:
    return 1 + sum(rival > score for rival in rivals) + sum(rival == score for rival in rivals) / 2


@pytest.mark.parametrize('similarity', ['QueryScore', 'MeanPool', 'TokenWise', 'XPool'])
def test_figures_are_exact_for_any_batch_and_tile(similarity):
    model = build_model(similarity)
    t2v, v2t = exact_ranks(model)
    assert sum(rank % 1 > 0 for rank in v2t) > ITEMS / 4  # many ties
    for batch_size, text_block, visual_block in ((1, 512, 512), (7, 5, 4), (ITEMS, 1, 9)):
        _, metric = evaluate(model, batch_size, text_block=text_block, visual_block=visual_block)
        assert metric.result.t2v_ranks.tolist() == t2v
        assert metric.result.v2t_ranks.tolist() == v2t
    assert metric.result.captions == [caption for own in captions() for caption in own]


@pytest.mark.parametrize('options', [
    dict(extras=EXTRAS, folds=3), dict(v2t_protocol='max_over_captions', extras=EXTRAS[:2], folds=4)])
def test_further_figures_depend_on_no_batch_and_tile(options):
    model = build_model('QueryScore')
    expected, metric = evaluate(model, ITEMS, **options)
    for batch_size, text_block, visual_block in ((1, 7, 5), (7, 512, 3)):
        found, other = evaluate(model, batch_size, text_block=text_block, visual_block=visual_block, **options)
        assert found == expected
        for name in ('top_items', 'top_scores', 'own_scores', 'top_captions', 'top_caption_scores'):
            torch.testing.assert_close(getattr(other.result, name), getattr(metric.result, name), rtol=0, atol=1e-5)
        # Of equal captions the first is found, whatever the order in which tiles of equal ones are read.
        captions = [other.result.captions[n] for n in other.result.top_captions]
        assert [other.result.captions.index(caption) for caption in captions] == other.result.top_captions.tolist()


def sharded() -> dict:
    return evaluate(build_model('QueryScore'), 4, range(distributed.get_rank(), ITEMS, 2), extras=EXTRAS)[0]


def test_two_processes_equal_one():
    expected, _ = evaluate(build_model('QueryScore'), 32, extras=EXTRAS)
    assert in_group(sharded) == [expected] * 2
