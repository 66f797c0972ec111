"""Embeddings of words on their way through the metric, in one process and in two."""
import torch
from helpers.processes import in_group
from torch import distributed

from mmcma.evaluation import RetrievalMetric
from mmcma.evaluation.retrieval_metric import _texts
from mmcma.models.similarities import TokenWise
from mmcma.structures import RetrievalSample

DIM = 8


def sample(index: int, batch_length: int = 0) -> dict:
    """Item ``index`` with 1 or 2 captions of 2 to 6 words, padded with large values to the length of its batch."""
    generator = torch.Generator().manual_seed(index)
    lengths = torch.tensor([2 + (index + i) % 5 for i in range(1 + index % 2)])
    words = [torch.randn(int(length), DIM, generator=generator) for length in lengths]
    tokens = torch.full((len(words), max(batch_length, int(lengths.max())), DIM), 99.0)
    for row, caption in zip(tokens, words):
        row[:len(caption)] = caption
    return RetrievalSample(
        item_id=f'clip-{index}', item_index=index, captions=[f'caption {index}.{i}' for i in range(len(words))],
        visual_tokens=torch.randn(3, DIM, generator=generator), text_tokens=tokens,
        text_mask=torch.arange(tokens.shape[1]) < lengths[:, None],
        text_pooled=torch.stack([caption.mean(0) for caption in words])).to_dict()


def similarity() -> TokenWise:
    torch.manual_seed(0)
    words = TokenWise()
    words.bind(DIM)
    for parameter in words.parameters():
        torch.nn.init.normal_(parameter)
    return words


def evaluate(samples: list[dict], size: int) -> dict:
    metric = RetrievalMetric(text_block=5, visual_block=4)
    metric.similarity = similarity()
    metric.process(None, samples)
    return metric.evaluate(size)


def test_captions_keep_their_words_and_lose_the_padding_of_their_batch():
    metric = RetrievalMetric()
    metric.process(None, [sample(1, batch_length=6), sample(0, batch_length=9)])
    text, _ = _texts(metric.results)
    assert text.tokens.shape == (3, 4, DIM)
    assert text.mask.sum(1).tolist() == [3, 4, 2]
    assert torch.equal(text.tokens[1, :4], sample(1)['text_tokens'][1])
    assert torch.equal(text.tokens[2, :2], sample(0)['text_tokens'][0, :2])
    assert text.tokens.abs().max() < 99


def test_the_padding_of_a_batch_changes_no_figure():
    assert evaluate([sample(i) for i in range(9)], 9) == evaluate([sample(i, 6 + i % 3) for i in range(9)], 9)


def sharded() -> dict:
    rank = distributed.get_rank()
    return evaluate([sample(index, batch_length=6 + rank) for index in range(rank, 9, 2)], 9)


def test_two_processes_with_captions_of_different_length_equal_one():
    expected = evaluate([sample(index) for index in range(9)], 9)
    assert in_group(sharded) == [expected] * 2
