"""The released code's training step."""
from math import log
from pathlib import Path

import torch
from official_cma import to_ours
from torch import distributed
from transformers import AutoTokenizer

from benchmarks.released import released_model
from benchmarks.steps import Step, read_batch
from mmcma.models.backbones.pretrained import read_normalisation
from mmcma.models.data_preprocessor import RetrievalDataPreprocessor


class ReleasedStep(Step):
    """Forward and backward, clipping and its optimizer, in one process without DDP; float16 on a GPU.

    Frames come normalised and captions as token ids, which its data loader does.

    Args:
        checkout: The released code.
        folder: Written by :func:`~benchmarks.steps.write_job`.
    """

    def __init__(self, checkout: Path, folder: Path) -> None:
        distributed.init_process_group('gloo', store=distributed.HashStore(), rank=0, world_size=1)
        self._device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
        self.model = released_model(checkout, folder, half=torch.cuda.is_available()).train().to(self._device)
        from modules.optimization import BertAdam
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        groups = [dict(params=[p for name, p in named if 'bias' not in name], weight_decay=0.2),
                  dict(params=[p for name, p in named if 'bias' in name], weight_decay=0.0)]
        self.optimizer = BertAdam(groups, lr=1e-5, b1=0.9, b2=0.98, e=1e-6, max_grad_norm=0.0)
        self._batch = model_inputs(folder)
        self.ready()

    def work(self) -> float:
        """Does the step; returns the loss."""
        loss = self.model(*(tensor.to(self._device, non_blocking=True) for tensor in self._batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        torch.clamp_(self.model.clip.logit_scale.data, max=log(100))
        return loss.item()

    def gradients(self) -> dict[str, torch.Tensor]:
        """The gradients of the released model by our names."""
        return to_ours(super().gradients())


def model_inputs(folder: Path) -> tuple[torch.Tensor, ...]:
    """What its data loader gives for the folder's batch: every caption padded to the limit, frames normalised.

    Returns:
        Token ids, their segments and their mask, all int64 ``(B, words)``; video float32 ``(B, 1, T, 1, 3, H, W)``;
        the video's mask int64 ``(B, T)``.
    """
    batch = read_batch(folder)
    mean, std = read_normalisation(str(folder / 'clip'))
    preprocessor = RetrievalDataPreprocessor()
    preprocessor.bind(image_mean=mean, image_std=std, tokenizer=AutoTokenizer.from_pretrained(folder / 'clip'),
                      context_length=batch['words'], pads_to_limit=True)
    token_ids, mask = preprocessor.tokenise(batch['captions'])
    video = preprocessor.normalise(batch['frames'])
    frame_mask = torch.ones(video.shape[:2], dtype=torch.long)
    return (token_ids.masked_fill(~mask, 0), torch.zeros_like(token_ids), mask.long(), video[:, None, :, None],
            frame_mask)
