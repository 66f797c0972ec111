"""The released code (LeapLabTHU/Cross-Modal-Adapter), run from a checkout; never in the process of the tool itself.

Its weights come from a folder in our own form, ``clip/`` and ``adapters.pt``, and are renamed.
"""
import logging
import sys
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec
from math import log
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch
from official_cma import to_official, to_ours
from to_hf import TO_OPENAI, renamed
from torch import distributed
from transformers import AutoTokenizer

from benchmarks.steps import Step, read_batch
from mmcma.models.backbones.pretrained import read_dual, read_normalisation
from mmcma.models.data_preprocessor import RetrievalDataPreprocessor
from mmcma.utils.errors import DataError

# What its README's command sets, and the defaults of its train.py that its model reads.
SETTINGS = dict(
    max_words=32, max_frames=12, loose_type=True, sim_header='meanP', linear_patch='2d', adapter_reduction_dims=8,
    adapter_share_dim=16, adapter_non_linearity='quick_gelu', adapter_dropout=0.0, adapter_init_std=0.01,
    adapter_share_use_non_linearity=False, q_score=1, q_score_temp=5.0, q_score_proj=0, t_emb_norm=0, v_emb_norm=0,
    v_agg_norm=0, linspace_samp=None, jcl=0, intra_sim=0, local_rank=0, rank=0, world_size=1)


def make_importable(checkout: Path) -> None:
    """Lets ``modules.…`` of the checkout be imported.

    Raises:
        DataError: There is no released code.
    """
    if not (checkout / 'modules' / 'module_clip_jointvt_upshare_adapter.py').is_file():
        raise DataError(f'--official {checkout}: no checkout of https://github.com/LeapLabTHU/Cross-Modal-Adapter.')
    sys.path.insert(0, str(checkout))
    for downloader in ('boto3', 'botocore', 'botocore.exceptions', 'requests'):  # imported there, not needed here
        sys.modules.setdefault(downloader, MagicMock(__spec__=ModuleSpec(downloader, None)))


def to_openai(hf: dict) -> dict:
    """State dict of a CLIPModel -> OpenAI's names, which the released code's are."""
    parts: dict[str, list] = {}
    for name in sorted(hf, key=lambda name: 'qkv'.find(name.rpartition('_proj.')[0][-1:])):  # joined in that order
        tensor = hf[name].T if name in ('visual_projection.weight', 'text_projection.weight') else hf[name]
        parts.setdefault(renamed(name, TO_OPENAI), []).append(tensor)
    return {name: torch.cat(tensors) if len(tensors) > 1 else tensors[0] for name, tensors in parts.items()}


def released_model(checkout: Path, folder: Path, *, half: bool = False):
    """The released code's ``CLIP4Clip`` with the weights of the folder, all but the adapters frozen as by its train.py.

    Args:
        checkout: The released code.
        folder: With ``clip/`` and ``adapters.pt``.
        half: Weights in float16 as it trains on a GPU, and not in float32.
    """
    make_importable(checkout)
    from modules.modeling_jointvt_upshare_adapter import CLIP4Clip
    from modules.module_cross import CrossConfig
    settings = SimpleNamespace(**SETTINGS, adapter_convert2fp16=half)
    state = to_openai(read_dual(pretrained=str(folder / 'clip')).state_dict())
    config, _ = CrossConfig.get_config('cross-base', '', 2, state_dict=None, task_config=settings)
    logging.getLogger('modules').setLevel(logging.ERROR)  # it tells its sizes, as warnings and by print
    with redirect_stdout(None):
        model = CLIP4Clip(config, state, settings)
    model = model if half else model.float()
    adapters = to_official(torch.load(folder / 'adapters.pt', weights_only=True))
    model.load_state_dict({**{f'clip.{name}': tensor for name, tensor in state.items()}, **adapters})
    for name, parameter in model.named_parameters():
        parameter.requires_grad_('adapter' in name)
    return model


# ---- its training step ----

class ReleasedStep(Step):
    """Forward and backward, clipping and its optimizer, in one process without DDP; float16 on a GPU.

    Frames come normalised and captions as token ids, which its data loader does.

    Args:
        checkout: The released code.
        folder: A folder of :func:`~benchmarks.steps.write_job`.
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
        """Its gradients by our names."""
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
