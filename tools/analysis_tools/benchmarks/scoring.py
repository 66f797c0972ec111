"""Query-scored similarities of the same random features, each way to be made in a process of its own."""
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from mmcma.engine.step_cost import PeakMemory, timed
from mmcma.models.similarities import QueryScore
from mmcma.structures import Features
from mmcma.utils.process_memory import highest_resident

TEMPERATURE = 5.0


class Scores:
    """Scores every text against every video, again and again.

    Args:
        size: Number of texts, and of videos.
        frames: Of a video.
        dim: Of an embedding; its length is about that of CLIP's for 512.
        rows: Only the first texts; None for all.
    """

    def __init__(self, size: int, frames: int, dim: int, rows: int | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.text = torch.randn(size, dim, generator=generator).mul_(0.45)[:rows]
        self.frames = torch.randn(size, frames, dim, generator=generator).mul_(0.45)
        self.mask = torch.ones(size, frames, dtype=torch.bool)
        self._memory = PeakMemory()

    def score(self) -> Tensor:
        """Cosines ``(N, M)``."""
        raise NotImplementedError

    @torch.no_grad()
    def scores(self, rows: int | None = None) -> np.ndarray:
        """Of the first texts."""
        return self.score()[:rows].numpy()

    @torch.no_grad()
    def seconds(self) -> float:
        """Scores once; returns the seconds."""
        return timed(self.score)

    def peak(self) -> tuple[int, int]:
        """Scores once; the most bytes during it beyond the features, and the most of the whole process during it."""
        self._memory.restart()
        self.seconds()
        return self._memory.peak(), highest_resident()


class OurScores(Scores):
    """QueryScore."""
    similarity = QueryScore(temperature=TEMPERATURE)

    def score(self) -> Tensor:
        """See :class:`Scores`."""
        return self.similarity(Features(self.text), Features(self.frames[:, 0], self.frames, self.mask))


class PlainScores(Scores):
    """The formula as it stands, with the pooled video of each pair: ``(N, M, D)``."""

    def score(self) -> Tensor:
        """See :class:`Scores`."""
        weights = (torch.einsum('nd,mtd->nmt', self.text, self.frames) / TEMPERATURE).softmax(dim=-1)
        pooled = torch.einsum('nmt,mtd->nmd', weights, self.frames)
        return torch.nn.functional.cosine_similarity(self.text[:, None], pooled, dim=-1)


class ReleasedScores(Scores):
    """What the released code's model computes of features when it is tested, its ``_loose_similarity``.

    Args:
        checkout: The released code.
    """

    def __init__(self, checkout: Path, *sizes) -> None:
        from benchmarks.official import SETTINGS, make_importable
        make_importable(checkout)
        from modules.modeling_jointvt_upshare_adapter import CLIP4Clip
        super().__init__(*sizes)
        # Only what it reads of itself; a scale of 1 leaves the cosines as they are.
        model = SimpleNamespace(training=False, clip=SimpleNamespace(logit_scale=torch.zeros(())),
                                task_config=SimpleNamespace(**{**SETTINGS, 'q_score_temp': TEMPERATURE}))
        model.q_score = lambda *args, **kwargs: CLIP4Clip.q_score(model, *args, **kwargs)
        self.score = lambda: CLIP4Clip._loose_similarity(model, self.text[:, None], self.frames, None, self.mask.long())
