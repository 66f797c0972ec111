"""Writes what public code computes on the hidden states and weights of ``helpers/adapter_reference.py``.

    git clone https://github.com/ShoufaChen/AdaptFormer; git clone https://github.com/linziyi96/st-adapter
    git clone https://github.com/zhangbw17/MV-Adapter
    PYTHONPATH=.:tests python -m helpers.make_adapter_golden AdaptFormer st-adapter MV-Adapter

MV-Adapter's patches are pooled by their mean, as in its paper; its code has a second way, by principal components.
"""
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from torch import Tensor, nn

from helpers import adapter_reference as reference

# A part of our branches -> of MV-Adapter's.
TIED = {'down': 'down', 'up': 'up', 'tie': 'md_proj', 'norm': 'ln_pre', 'mixer.self_attn': 'block.attn',
        'mixer.linear1': 'block.mlp.c_fc', 'mixer.linear2': 'block.mlp.c_proj', 'mixer.norm1': 'block.ln_1',
        'mixer.norm2': 'block.ln_2'}
CALIBRATION = {'whole': 'conv_rf_c.g', 'squeeze': 'conv_rf_c.a', 'calibrate': 'conv_rf_c.b'}


def read(path: Path, name: str):
    """A file of a checkout as a module."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def stand_in(name: str, **attributes) -> None:
    """A module that a file imports and that is not needed here."""
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(attributes)


def copy(source: nn.Module, target: nn.Module, parts: dict[str, str]) -> None:
    for mine, theirs in parts.items():
        target.get_submodule(theirs).load_state_dict(source.get_submodule(mine).state_dict())


def adaptformer(checkout: Path, given: dict[str, Tensor]) -> Tensor:
    code = read(checkout / 'models' / 'adapter.py', 'adaptformer_adapter')
    theirs = code.Adapter(SimpleNamespace(d_model=reference.DIM, attn_bn=reference.BOTTLENECK), dropout=0.1,
                          bottleneck=reference.BOTTLENECK, init_option='lora', adapter_scalar='0.1',
                          adapter_layernorm_option='none').eval()
    copy(reference.module('AdaptFormer'), theirs, dict(down='down_proj', up='up_proj'))
    return given['video'] + theirs(given['video'], add_residual=False)


def st_adapter(checkout: Path, given: dict[str, Tensor]) -> Tensor:
    stand_in('configs', CLIP_VIT_B16_PATH='', CLIP_VIT_L14_PATH='', DWCONV3D_DISABLE_CUDNN=True)
    theirs = read(checkout / 'models_adapter.py', 'st_adapter_models').Adapter(
        reference.DIM, reference.BOTTLENECK, (3, 1, 1)).eval()
    mine = reference.module('STAdapter')
    copy(mine, theirs, dict(down='fc1', up='fc2'))
    theirs.conv.weight.copy_(mine.over_time.weight[..., None, None])
    theirs.conv.bias.copy_(mine.over_time.bias)
    return theirs(given['video'].clone(), reference.FRAMES)


def mv_adapter(checkout: Path, given: dict[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, type] = {}
    stand_in('registry', ADAPTERS=SimpleNamespace(
        register_module=lambda: lambda kind: found.setdefault(kind.__name__, kind), get=found.get))
    stand_in('modules', __path__=[])
    read(checkout / 'modules' / 'module_ta.py', 'modules.module_ta')
    code = read(checkout / 'modules' / 'adapter' / 'mv_adapter.py', 'modules.adapter.mv_adapter')
    factor = nn.Parameter(given['factor'])
    sizes = dict(n_head=2, idx=0, embed_dim=reference.DIM, modal_dynamic=dict(
        adapter_idx=[0], factor=lambda layer: factor, position='down out'))
    video = code.VideoAdapter(cls_mid=reference.BOTTLENECK, seq_len=reference.FRAMES, temporal=['c'], pca=False,
                              **sizes).eval()
    text = code.TextTransfAdapter(mid_dim=reference.BOTTLENECK, attn_type='uni', seq_len=reference.WORDS,
                                  **sizes).eval()
    mine = {case: reference.module(case) for case in reference.MODULES}
    for case, theirs in (('MVAdapter, video', video), ('MVAdapter, text', text)):
        copy(mine[case], theirs, TIED)
        theirs.positional_embedding.copy_(mine[case].position)
    copy(mine['MVAdapter, video'], video, CALIBRATION)
    video.cc.copy_(mine['MVAdapter, video'].clip_token)
    video.patch_pooling = 'mean'
    frames = video(given['video'].permute(1, 0, 2), given['mask'].float()).permute(1, 0, 2) / video.scale
    words = text(given['text'].permute(1, 0, 2)).permute(1, 0, 2) / text.scale
    return {'MVAdapter, video': frames[given['mask'].flatten()], 'MVAdapter, text': words}


def main() -> None:
    given = reference.inputs()
    with torch.no_grad():
        found = {'AdaptFormer': adaptformer(Path(sys.argv[1]), given),
                 'STAdapter': st_adapter(Path(sys.argv[2]), given), **mv_adapter(Path(sys.argv[3]), given)}
    golden = {case: [round(x, 6) for x in tensor[::2].flatten().tolist()] for case, tensor in found.items()}
    source = 'AdaptFormer, st-adapter and MV-Adapter, run by tests/helpers/make_adapter_golden.py; every other row'
    reference.GOLDEN.write_text(json.dumps(dict(source=source, **golden)) + '\n')


if __name__ == '__main__':
    main()
