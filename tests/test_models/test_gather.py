"""Features of two processes whose captions differ in length."""
import torch
from helpers.processes import in_group
from torch import distributed

from mmcma.models.heads.gather import gather_features
from mmcma.structures import Features

LENGTHS = (3, 5)


def of_rank(rank: int) -> Features:
    generator = torch.Generator().manual_seed(rank)
    length = LENGTHS[rank]
    mask = torch.arange(length) < torch.tensor([[length], [2]])
    return Features(torch.randn(2, 4, generator=generator),
                    torch.randn(2, length, 4, generator=generator).requires_grad_(), mask)


def gathered() -> tuple:
    """What this process has of all, and the gradient of its own."""
    own = of_rank(distributed.get_rank())
    joined = gather_features(own)
    weight = torch.arange(joined.tokens.numel()).view_as(joined.tokens)
    (joined.tokens * weight).sum().backward()
    return joined.pooled, joined.tokens.detach(), joined.mask, own.tokens.grad


def test_shorter_captions_are_padded_to_the_longest_of_all_processes():
    ours = [of_rank(rank) for rank in range(2)]
    for rank, (pooled, tokens, mask, gradient) in enumerate(in_group(gathered)):
        assert torch.equal(pooled, torch.cat([one.pooled for one in ours]))
        assert tokens.shape == (4, 5, 4) and mask.shape == (4, 5)
        assert mask.sum(1).tolist() == [3, 2, 5, 2]
        assert not tokens[:2, 3:].any()
        for number, one in enumerate(ours):
            assert torch.equal(tokens[2 * number:2 * number + 2, :LENGTHS[number]], one.tokens)
        weight = torch.arange(80).view(4, 5, 4)[2 * rank:2 * rank + 2, :LENGTHS[rank]]
        assert torch.equal(gradient, 2.0 * weight)  # of both processes' losses
