"""Clips with their captions, and what a model makes of them, for tests of the methods."""
import torch
from torch import nn

from mmcma.structures import RetrievalSample

FRAMES = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CAPTIONS = ['a red star', 'moon']


def randomised(model):
    """The model with weights of the neck that all matter."""
    for parameter in model.neck.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


@torch.no_grad()
def features(model):
    return model.encode_visual(FRAMES).tokens, model.encode_text(CAPTIONS).pooled


def batch(size: int = 3, frames: int = 2, seed: int = 0) -> dict:
    """What a loader gives of ``size`` clips of ``frames`` frames, each with a caption."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(frames, dtype=torch.bool)
    samples = [RetrievalSample(item_id=f'v{i}', item_index=i, captions=[f'a red star {i}'], frame_mask=mask,
                               frame_captions=['a red star', 'moon', 'nothing', 'a blue die on the left'][:frames])
               for i in range(size)]
    return dict(inputs=[torch.randint(0, 256, (frames, 3, 32, 32), dtype=torch.uint8, generator=generator)
                        for _ in range(size)], data_samples=samples)
