"""Two clips with their captions, and what a model makes of them, for tests of the methods."""
import torch
from torch import nn

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
