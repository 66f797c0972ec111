"""Features of two processes whose captions differ in length."""
import torch
import torch.multiprocessing as mp

from mmcma.models.heads.gather import gather_features
from mmcma.structures import Features

LENGTHS = (3, 5)


def of_rank(rank: int) -> Features:
    generator = torch.Generator().manual_seed(rank)
    length = LENGTHS[rank]
    mask = torch.arange(length) < torch.tensor([[length], [2]])
    return Features(torch.randn(2, 4, generator=generator),
                    torch.randn(2, length, 4, generator=generator).requires_grad_(), mask)


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    own = of_rank(rank)
    joined = gather_features(own)
    weight = torch.arange(joined.tokens.numel()).view_as(joined.tokens)
    (joined.tokens * weight).sum().backward()
    torch.save((joined.pooled, joined.tokens.detach(), joined.mask, own.tokens.grad), f'{folder}/{rank}.pt')
    torch.distributed.destroy_process_group()


def test_shorter_captions_are_padded_to_the_longest_of_all_processes(tmp_path):
    mp.spawn(worker, args=(str(tmp_path),), nprocs=2)
    ours = [of_rank(rank) for rank in range(2)]
    for rank in range(2):
        pooled, tokens, mask, gradient = torch.load(tmp_path / f'{rank}.pt')
        assert torch.equal(pooled, torch.cat([one.pooled for one in ours]))
        assert tokens.shape == (4, 5, 4) and mask.shape == (4, 5)
        assert mask.sum(1).tolist() == [3, 2, 5, 2]
        assert not tokens[:2, 3:].any()
        for number, one in enumerate(ours):
            assert torch.equal(tokens[2 * number:2 * number + 2, :LENGTHS[number]], one.tokens)
        weight = torch.arange(80).view(4, 5, 4)[2 * rank:2 * rank + 2, :LENGTHS[rank]]
        assert torch.equal(gradient, 2.0 * weight)  # of both processes' losses
