"""Writes the features that public code computes with the methods of ``helpers/video_method_reference.py``.

    git clone https://github.com/modelscope/modelscope; git clone https://github.com/knightyxp/DGL
    git clone https://github.com/LunarShen/DsicoVLA; git clone https://github.com/bladewaltz1/PromptSwitch
    PYTHONPATH=.:tests python -m helpers.make_video_method_golden modelscope DGL DsicoVLA PromptSwitch

Of modelscope, VoP's ``model.py`` and ``backbone.py`` alone are run, of DGL ``clip.py``, whose prompts of clips, 768
wide there, get the reference's width. It needs einops.
"""
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
import transformers
from torch import Tensor, nn

from helpers import official_reference as reference
from helpers import video_method_reference as methods
from helpers.clip import VOCABULARY, model_config
from helpers.imports import import_file
from helpers.make_adapter_golden import copy, stand_in
from mmcma.registry import MODELS

MIXER = {'self_attn': 'attn', 'linear1': 'mlp.c_fc', 'linear2': 'mlp.c_proj', 'norm1': 'ln_1', 'norm2': 'ln_2'}


def package(name: str, folder: Path) -> None:
    """A folder of a checkout as a package whose own ``__init__`` is not run."""
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__path__ = [str(folder)]


def our_neck(case: str) -> nn.Module:
    config = model_config(reference.write_hf_folder(tempfile.mkdtemp()), neck=methods.CASES[case],
                          data_preprocessor=dict(type='RetrievalDataPreprocessor'))
    return methods.fill_neck(MODELS.build(config).neck)


def load(clip: nn.Module) -> nn.Module:
    """The reference's weights in a CLIP of public code."""
    state = {name: tensor for name, tensor in reference.official_state().items() if 'adapter' not in name}
    assert not clip.load_state_dict(state, strict=False).unexpected_keys
    return clip.float().eval()


def sizes(heads: int) -> tuple:
    width = reference.TEXT_WIDTH
    return (reference.EMBED, reference.IMAGE, reference.LAYERS, reference.VISION_WIDTH, reference.PATCH,
            reference.CONTEXT, VOCABULARY['vocab_size'], width, heads, reference.LAYERS)


def vop(checkout: Path) -> dict[str, Tensor]:
    same = SimpleNamespace(register_module=lambda *args, **kwargs: lambda kind: kind)
    for name, attributes in dict(
            modelscope={}, **{'modelscope.metainfo': dict(Models=SimpleNamespace(vop_retrieval_model='')),
                              'modelscope.models': {}, 'modelscope.models.base': {}, 'modelscope.utils': {},
                              'modelscope.models.base.base_torch_model': dict(TorchModel=nn.Module),
                              'modelscope.models.builder': dict(MODELS=same),
                              'modelscope.utils.config': dict(Config=None),
                              'modelscope.utils.constant': dict(ModelFile=None, Tasks=SimpleNamespace(vop_retrieval=''))
                              }).items():
        stand_in(name, **attributes)
    package('vop', checkout / 'modelscope' / 'models' / 'cv' / 'vop_retrieval')
    stand_in('vop.basic_utils', get_state_dict=None, set_seed=None)
    code, backbone = import_module('vop.model'), import_module('vop.backbone')
    clip, neck = load(backbone.CLIP(*sizes(1))), our_neck('vop')
    config = SimpleNamespace(vpt_layers=[0, 1, 2], tpt_layers=[0, 1, 2], vp_token_num=neck.num_prompts,
                             num_frames=reference.FRAMES, tp_prefix_token_num=neck.num_prefix,
                             tp_suffix_token_num=neck.num_suffix)
    text = neck.text.prompts.tokens
    return dict(vision=code.ImageEncoder(clip, config)(neck.vision.tokens[:, None], methods.clips('vop').flatten(0, 1)),
                text=code.TextEncoder(clip, config)((text[:, :neck.num_prefix], text[:, neck.num_prefix:]),
                                                    methods.captions('vop')))


def dgl(checkout: Path, space: str) -> dict[str, Tensor]:
    package('dgl', checkout / 'modules')
    stand_in('dgl.utils', log_info=print)
    args = SimpleNamespace(global_visual_prompt_length=4, local_each_frame_prompt_length=4, text_prompt_length=8,
                           unified_transformer_layers=reference.LAYERS, max_words=reference.CONTEXT, time_embedding=0,
                           shared_latent_space=space, visual_output_type='global_prompt0')
    clip = import_module('dgl.clip').CLIP(*sizes(1), video_frames=reference.FRAMES, args=args)
    neck = our_neck(f'dgl-{space}')
    tokens = neck.space.tokens.transpose(0, 1).flatten(1)  # (prompts, layers * width)
    clip.visual.prompt_embeddings = nn.Parameter(neck.clip[None])
    if space == 'transformer':
        clip.unified_prompt_embedding.weight.copy_(tokens)
        copy(neck.space.mixer, clip.PromptTransformer.resblocks[0], MIXER)
        copy(neck.space.to_text, clip.unified_prompt_mlp, {'0': 'c_fc', '2': 'c_proj'})
    else:
        clip.visual_prompt_embedding.copy_(tokens[None])
        clip.prefix_text_prompt_proj_layer.load_state_dict(neck.space.to_text.state_dict())
    load(clip)
    ids = methods.captions('dgl')
    _, of_frames = clip.encode_prompt(reference.VIDEOS, device='cpu')
    of_captions, _ = clip.encode_prompt(len(ids), device='cpu')
    frames = methods.clips('dgl').flatten(0, 1)
    return dict(vision=clip.encode_image(frames, of_frames, video_frame=reference.FRAMES)[:, 0],
                text=clip.encode_text(ids, of_captions))


def discovla(checkout: Path, case: str) -> dict[str, Tensor]:
    neck = our_neck(case)
    sys.path.insert(0, str(checkout))
    for name in ('timm', 'timm.models'):
        stand_in(name)
    stand_in('timm.models.layers', drop_path=None)
    model_class = import_module('tvr.models.modeling').VTRModel
    model = model_class.__new__(model_class)
    nn.Module.__init__(model)
    model.clip = load(import_module('tvr.models.module_clip').CLIP(*sizes(1), neck.lora_rank, neck.clip_layers, 2))
    for tower, updates in ((model.clip.visual, neck.vision), (model.clip, neck.text)):
        for block, update in zip(tower.transformer.resblocks, updates):
            block.attn.TVPt_LoRA_a.copy_(update.down.weight)
            block.attn.TVPt_LoRA_b.copy_(update.up.weight)
    blocks = [*model.clip.visual.transformer.resblocks[-neck.clip_layers:], *model.clip.transformer.resblocks[-2:]]
    for block, (down, _, up) in zip(blocks, [*neck.adapters, *(neck.captions.adapters if neck.captions else ())]):
        for part, linear in (('down', down), ('up', up)):
            getattr(block.attn, f'TVPt_{part}_weight').copy_(linear.weight)
            getattr(block.attn, f'TVPt_{part}_bias').copy_(linear.bias)
    ids, clips = methods.captions(case), methods.clips(case)
    _, frames = model.get_train_video_feat(clips.flatten(0, 1), torch.ones(clips.shape[:2]))
    if neck.captions:
        return discovla_training(model, ids[:len(clips)], clips)
    return dict(vision=frames.flatten(0, 1), text=model.get_text_feat(ids, (ids != 0).long()))


def discovla_training(model: nn.Module, ids: Tensor, clips: Tensor) -> dict[str, Tensor]:
    """Features of captions of frames, and the three losses with their weights."""
    own = methods.frame_captions()
    model.config = SimpleNamespace(world_size=1, local_rank=0)
    model.loss_fct, model.alpha, model.beta = import_module('tvr.models.until_module').CrossEn(), 0.3, 1.0
    torch.distributed.barrier = lambda: None  # of one process
    _, retrieval, image, distillation = model(ids, ids != 0, own, own != 0, clips,
                                              torch.ones(clips.shape[:2]))
    captions = model.get_train_text_feat(own.flatten(0, 1), (own != 0).flatten(0, 1), clips.shape[1])
    return dict(captions=captions.flatten(0, 1),
                losses=torch.stack([retrieval, model.alpha * image, model.beta * distillation])[None])


def prompt_switch(checkout: Path) -> dict[str, Tensor]:
    """Of the vision tower: that of captions is CLIP's own. It asks transformers for what only wrote documentation."""
    for name in ('add_start_docstrings', 'add_start_docstrings_to_model_forward', 'replace_return_docstrings'):
        setattr(transformers.utils, name, lambda *args, **kwargs: lambda kind: kind)
    for name, attributes in {'config': {}, 'config.base_config': dict(Config=None), 'modules': {},
                             'modules.baseline_pooling': dict(BaselinePooling=None),
                             'modules.transformer': dict(Transformer=None)}.items():
        stand_in(name, **attributes)
    code, neck = import_file(checkout / 'model' / 'prompt_clip.py'), our_neck('prompt-switch')
    clips, width = methods.clips('prompt-switch'), reference.VISION_WIDTH
    tower = code.CLIPVisionTransformer(transformers.CLIPVisionConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=reference.LAYERS, num_frames=clips.shape[1],
        num_attention_heads=width // 64, image_size=reference.IMAGE, patch_size=reference.PATCH,
        num_prompts=neck.num_prompts)).eval()
    frozen = reference.to_hf(reference.official_state())
    vision = {name.removeprefix('vision_model.'): x for name, x in frozen.items() if name.startswith('vision_model.')}
    assert not tower.load_state_dict(vision, strict=False).unexpected_keys
    tower.encoder.prompt_embedding.copy_(neck.prompts)
    tower.attn.load_state_dict(neck.pool.state_dict())
    pooled = tower(clips.flatten(0, 1), output_attentions=False, output_hidden_states=False, return_dict=False)[1]
    return dict(vision=pooled @ frozen['visual_projection.weight'].T)


@torch.no_grad()
def main() -> None:
    modelscope, dgl_code, discovla_code, prompt_switch_code = map(Path, sys.argv[1:])
    found = {'vop': vop(modelscope), 'dgl-transformer': dgl(dgl_code, 'transformer'),
             'dgl-linear': dgl(dgl_code, 'linear'), 'prompt-switch': prompt_switch(prompt_switch_code),
             **{case: discovla(discovla_code, case) for case in ('discovla', 'discovla-captions')}}
    golden = {case: {side: [[round(x, 7) for x in row] for row in tensor.tolist()] for side, tensor in sides.items()}
              for case, sides in found.items()}
    source = ('modelscope/modelscope, knightyxp/DGL, LunarShen/DsicoVLA and bladewaltz1/PromptSwitch, run by '
              'tests/helpers/make_video_method_golden.py')
    methods.GOLDEN.write_text(json.dumps(dict(source=source, **golden)) + '\n')


if __name__ == '__main__':
    main()
