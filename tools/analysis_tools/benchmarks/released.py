"""The released code (LeapLabTHU/Cross-Modal-Adapter), run from a checkout; never in the process of the tool itself.

Its weights come from a folder in our own form, ``clip/`` and ``adapters.pt``, and are renamed.
"""
import logging
import sys
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import torch
from official_cma import to_official
from to_hf import to_openai

from mmcma.models.backbones.pretrained import read_dual
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
