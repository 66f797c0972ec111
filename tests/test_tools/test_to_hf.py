"""Checkpoints of each layout, converted, give the features of an independent CLIP with the same weights."""
import json
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from helpers.imports import import_file
from safetensors.torch import save_file
from torch import nn

from mmcma.cli.arguments import run_tool
from mmcma.models.backbones.pretrained import BUNDLED
from mmcma.utils.errors import WeightsError

TOOL = Path(__file__).parents[2] / 'tools' / 'model_converters' / 'to_hf.py'
TOKENIZER = str(BUNDLED['mmcma/clip-tiny-glyphs'])
VOCABULARY, CONTEXT, PATCH, IMAGE, JOINT = 1369, 20, 16, 48, 24


@pytest.fixture(scope='module')
def tool():
    return import_file(TOOL)


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """A pre-norm layer with OpenAI's names."""

    def __init__(self, width: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // 64, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(OrderedDict(c_fc=nn.Linear(width, 4 * width), act=activation(),
                                             c_proj=nn.Linear(4 * width, width)))

    def forward(self, x, mask):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Layers(nn.Module):
    def __init__(self, width: int, layers: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, activation) for _ in range(layers))

    def forward(self, x, mask):
        for block in self.resblocks:
            x = block(x, mask)
        return x


class Visual(nn.Module):
    def __init__(self, width: int, layers: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, PATCH, PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty((IMAGE // PATCH) ** 2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Layers(width, layers, activation)
        self.proj = nn.Parameter(torch.empty(width, JOINT))

    def forward(self, pixels):
        x = self.conv1(pixels).flatten(2).transpose(1, 2)  # (N, patches, width)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(x), None)[:, 0]) @ self.proj


class ReferenceCLIP(nn.Module):
    """CLIP as its paper has it: three vision layers 128 wide, two text layers 64 wide."""

    def __init__(self, activation: type[nn.Module] = QuickGELU) -> None:
        super().__init__()
        self.visual = Visual(128, 3, activation)
        self.transformer = Layers(64, 2, activation)
        self.token_embedding = nn.Embedding(VOCABULARY, 64)
        self.positional_embedding = nn.Parameter(torch.empty(CONTEXT, 64))
        self.ln_final = nn.LayerNorm(64)
        self.text_projection = nn.Parameter(torch.empty(64, JOINT))
        self.logit_scale = nn.Parameter(torch.tensor(3.0))
        torch.manual_seed(0)
        for name, parameter in self.named_parameters():
            if name != 'logit_scale':
                norm_scale = 'ln_' in name and name.endswith('weight')
                nn.init.normal_(parameter, mean=float(norm_scale), std=0.1)

    def encode_text(self, ids):
        x = self.token_embedding(ids) + self.positional_embedding[:ids.shape[1]]
        causal = torch.full((ids.shape[1],) * 2, float('-inf')).triu(1)
        x = self.ln_final(self.transformer(x, causal))
        return x[torch.arange(len(ids)), ids.argmax(dim=-1)] @ self.text_projection

    def forward(self, pixels, ids):
        return self.visual(pixels), self.encode_text(ids)


def openai_archive(path: Path, model: ReferenceCLIP) -> None:
    """A TorchScript archive with the constants that OpenAI's hold among the weights."""
    for name, value in dict(input_resolution=IMAGE, context_length=CONTEXT, vocab_size=VOCABULARY).items():
        model.register_buffer(name, torch.tensor(value))
    ids = torch.ones(1, CONTEXT, dtype=torch.long)
    torch.jit.trace(model.eval(), (torch.zeros(1, 3, IMAGE, IMAGE), ids), check_trace=False).save(path)


def openai_state_dict(path: Path, model: ReferenceCLIP) -> None:
    torch.save(dict(model.state_dict(), input_resolution=torch.tensor(IMAGE), context_length=torch.tensor(CONTEXT),
                    vocab_size=torch.tensor(VOCABULARY)), path)


def open_clip_safetensors(path: Path, model: ReferenceCLIP) -> None:
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)


def open_clip_training(path: Path, model: ReferenceCLIP) -> None:
    """As open_clip's training writes it, of the class that keeps the text tower apart."""
    state = {f'module.{name}' if name.startswith('visual') or name == 'logit_scale' else f'module.text.{name}': tensor
             for name, tensor in model.state_dict().items()}
    torch.save(dict(epoch=3, name='run', state_dict={**state, 'module.text.attn_mask': torch.zeros(2, 2)}), path)


def mmpretrain_checkpoint(path: Path, model: ReferenceCLIP) -> None:
    """Weights of mmpretrain's own vision transformer, which is tested to be the reference's below."""
    vision = {'cls_token': 'class_embedding', 'pos_embed': 'positional_embedding',
              'patch_embed.projection.weight': 'conv1.weight'}
    for end in ('weight', 'bias'):
        vision |= {f'pre_norm.{end}': f'ln_pre.{end}', f'ln1.{end}': f'ln_post.{end}'}
        for layer in range(3):
            ours, theirs = f'layers.{layer}', f'transformer.resblocks.{layer}'
            vision |= {f'{ours}.ln1.{end}': f'{theirs}.ln_1.{end}', f'{ours}.ln2.{end}': f'{theirs}.ln_2.{end}',
                       f'{ours}.attn.qkv.{end}': f'{theirs}.attn.in_proj_{end}',
                       f'{ours}.attn.proj.{end}': f'{theirs}.attn.out_proj.{end}',
                       f'{ours}.ffn.layers.0.0.{end}': f'{theirs}.mlp.c_fc.{end}',
                       f'{ours}.ffn.layers.1.{end}': f'{theirs}.mlp.c_proj.{end}'}
    state = model.state_dict()
    visual = {name: state[f'visual.{source}'] for name, source in vision.items()}
    visual['cls_token'], visual['pos_embed'] = visual['cls_token'][None, None], visual['pos_embed'][None]
    others = {name: tensor for name, tensor in state.items() if not name.startswith('visual.')}
    torch.save(dict(meta={}, state_dict={**{f'visual.{name}': tensor for name, tensor in visual.items()}, **others,
                                         'visual_proj.proj': state['visual.proj']}), path)


LAYOUTS = [
    (openai_archive, 'any.pt', QuickGELU, {}), (openai_state_dict, 'any.pt', QuickGELU, {}),
    (open_clip_safetensors, 'vit_b_32-quickgelu-laion400m.safetensors', QuickGELU, {}),
    (open_clip_safetensors, 'any.safetensors', nn.GELU, dict(model='ViT-B-16/laion2b_s34b_b88k')),
    (open_clip_training, 'epoch_3.pt', nn.GELU, dict(activation='gelu')),
    (mmpretrain_checkpoint, 'clip.pth', QuickGELU, {})]


@torch.no_grad()
@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning', 'ignore:`torch.jit:FutureWarning')
@pytest.mark.parametrize('write, name, activation, options', LAYOUTS, ids=lambda value: getattr(value, '__name__', ''))
def test_features_of_the_folder_are_the_references(tool, tmp_path, build, write, name, activation, options):
    reference = ReferenceCLIP(activation).eval()
    write(tmp_path / name, reference)
    tool.convert(tmp_path / name, tmp_path / 'hf', tokenizer=TOKENIZER, **options)
    vision = build(dict(type='HFVisionTower', pretrained=str(tmp_path / 'hf'))).eval()
    text = build(dict(type='HFTextTower', pretrained=str(tmp_path / 'hf'))).eval()
    pixels = torch.randn(2, 3, IMAGE, IMAGE)
    tokens = text.tokenizer(['a red star', 'snow'], padding=True, return_tensors='pt')
    torch.testing.assert_close(vision(pixels), reference.visual(pixels), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(text(tokens.input_ids, tokens.attention_mask.bool()).pooled,
                               reference.encode_text(tokens.input_ids), atol=1e-4, rtol=1e-4)
    assert (vision.image_size, len(vision.blocks), len(text.blocks)) == (IMAGE, 3, 2)
    assert text.context_length == CONTEXT and text.logit_scale == 3.0
    assert vision.image_mean == pytest.approx([0.48145466, 0.4578275, 0.40821073])


@torch.no_grad()
def test_the_reference_is_mmpretrains_vision_transformer(tmp_path, build):
    """So that mmpretrain's names above are its own."""
    reference = ReferenceCLIP().eval()
    mmpretrain_checkpoint(tmp_path / 'clip.pth', reference)
    state = torch.load(tmp_path / 'clip.pth')['state_dict']
    torch.save({name.removeprefix('visual.'): tensor for name, tensor in state.items() if name.startswith('visual.')},
               tmp_path / 'visual.pth')
    tower = build(dict(
        type='MMPretrainTower', embed_dim=JOINT, checkpoint=str(tmp_path / 'visual.pth'),
        backbone=dict(type='mmpretrain.VisionTransformer', img_size=IMAGE, patch_size=PATCH, pre_norm=True,
                      norm_cfg=dict(type='LN', eps=1e-5), layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU')),
                      arch=dict(embed_dims=128, num_layers=3, num_heads=2, feedforward_channels=512)))).eval()
    pixels = torch.randn(2, 3, IMAGE, IMAGE)
    torch.testing.assert_close(tower.backbone(pixels)[-1] @ state['visual_proj.proj'], reference.visual(pixels),
                               atol=1e-4, rtol=1e-4)


@pytest.fixture
def folder(tmp_path) -> Path:
    """As open_clip's models lie on the Hub."""
    folder = tmp_path / 'CLIP-ViT-any'
    folder.mkdir()
    open_clip_safetensors(folder / 'open_clip_model.safetensors', ReferenceCLIP())
    return folder


@pytest.mark.parametrize('quick', [True, False])
def test_a_folder_of_open_clip_tells_activation_and_normalisation(tool, folder, quick):
    (folder / 'open_clip_config.json').write_text(json.dumps(dict(
        model_cfg=dict(quick_gelu=True) if quick else {}, preprocess_cfg=dict(mean=[0.5] * 3, std=[0.4] * 3))))
    said = tool.convert(folder, folder / 'hf', tokenizer=TOKENIZER)
    assert said.endswith('; quick_gelu' if quick else '; gelu')
    assert json.loads((folder / 'hf/config.json').read_text())['text_config']['hidden_act'] in said
    preprocessor = json.loads((folder / 'hf/preprocessor_config.json').read_text())
    assert preprocessor['image_mean'] == [0.5] * 3 and preprocessor['image_std'] == [0.4] * 3


@pytest.mark.parametrize('name, expected', [
    ('ViT-B-32-quickgelu', 'quick_gelu'), ('ViT-L-14/openai', 'quick_gelu'), ('metaclip_fullcc', 'quick_gelu'),
    ('laion/CLIP-ViT-B-32-laion2B-s34B-b79K', 'gelu'), ('ViT-B-16/datacomp_xl_s13b_b90k', 'gelu')])
def test_names_that_tell_the_activation(tool, name, expected):
    assert tool.activation_of(tool.Checkpoint({}, 'open_clip', {}), name) == expected


@pytest.mark.parametrize('name', ['ViT-B-32', 'open_clip_model.pt', 'ViT-B-32/laion400m_e32', 'openai-laion2b'])
def test_names_that_do_not_tell_it_are_asked_about(tool, folder, name):
    with pytest.raises(WeightsError, match=f'{name}.* give --activation quick_gelu or gelu'):
        tool.convert(folder, folder / 'hf', tokenizer=TOKENIZER, model=name)
    assert not (folder / 'hf').exists()


def test_weights_that_were_normalised_otherwise(tool):
    plain = tool.Checkpoint({}, 'open_clip', {})
    assert tool.normalisation_of(plain, 'ViT-L-14/laion2b_s32b_b82k') == ([0.5] * 3, [0.5] * 3)
    assert tool.normalisation_of(plain, 'ViT-B-32/laion2b_s34b_b79k')[0][0] == pytest.approx(0.48145466)


@pytest.mark.parametrize('width, heads', [(768, 12), (1024, 16), (1280, 16), (1408, 16), (1664, 16)])
def test_heads_of_the_large_vision_towers(tool, width, heads):
    """open_clip's ViT-B, -L, -H, -g and -bigG."""
    state = {'visual.transformer.resblocks.0.mlp.c_fc.weight': torch.empty(4 * width, width)}
    assert tool.transformer(state, 'visual.transformer.')['num_attention_heads'] == heads
    text = {'transformer.resblocks.0.mlp.c_fc.weight': torch.empty(4 * 1280, 1280)}
    assert tool.transformer(text, 'transformer.')['num_attention_heads'] == 20  # the text tower of ViT-bigG


def without(state: dict, *names: str) -> dict:
    return {name: tensor for name, tensor in state.items() if name not in names}


@pytest.mark.parametrize('change, said', [
    (lambda s: without(s, 'ln_final.bias', 'visual.transformer.resblocks.1.mlp.c_fc.bias'),
     r'missing ln_final.bias, visual.transformer.resblocks.1.mlp.c_fc.bias; without a place nothing'),
    (lambda s: {**s, 'visual.extra.weight': torch.zeros(1), 'logit_bias': torch.zeros(1)},
     'missing nothing; without a place logit_bias, visual.extra.weight'),
    (lambda s: {**s, 'text_projection': torch.zeros(64, 7)}, r'text_projection has shape \(64, 7\)'),
    (lambda s: {**s, 'visual.positional_embedding': torch.zeros(9, 128)}, r'positional_embedding has shape \(9, 128\)'),
    (lambda s: without(s, 'visual.conv1.weight'), "lacks 'visual.conv1.weight'"),
    (lambda s: {**s, 'visual.layer1.0.conv1.weight': torch.zeros(1)}, 'a CLIP with a ResNet'),
    (lambda s: {name.replace('visual.', 'visual.trunk.'): tensor for name, tensor in s.items()},
     'no CLIP with a Vision Transformer.*it holds ln_final.bias'),
    (lambda s: {**s, 'token_embedding.weight': torch.zeros(49408, 64)}, 'has 1369 tokens,.* the weights know 49408')])
def test_what_does_not_match_is_named(tool, tmp_path, change, said):
    torch.save(change(ReferenceCLIP().state_dict()), tmp_path / 'a.pt')
    with pytest.raises(WeightsError, match=said):
        tool.convert(tmp_path / 'a.pt', tmp_path / 'hf', tokenizer=TOKENIZER, activation='gelu')
    assert not (tmp_path / 'hf').exists()


def test_files_that_are_no_checkpoints(tool, tmp_path):
    torch.save([1, 2], tmp_path / 'list.pt')
    torch.save(Block(64, nn.GELU), tmp_path / 'module.pt')  # would run code when unpickled
    (tmp_path / 'text.safetensors').write_text('no')
    (tmp_path / 'empty.pt').touch()
    for name, said in [('list.pt', 'no state dict'), ('module.pt', '--trust-checkpoint'),
                       ('text.safetensors', 'cannot be read safely'), ('none.pt', 'no such file'),
                       ('empty.pt', 'cannot be read'),
                       ('.', 'holds none of open_clip_model.safetensors')]:
        with pytest.raises(WeightsError, match=said):
            tool.read(tmp_path / name)


def test_a_folder_that_holds_a_model_is_left_alone(tool, folder):
    (folder / 'config.json').write_text('{}')
    with pytest.raises(WeightsError, match='holds a model already'):
        tool.convert(folder, folder, tokenizer=TOKENIZER, activation='gelu')


@pytest.mark.parametrize('tokenizer', ['no/where', 'empty'])
def test_a_tokenizer_that_is_not_there(tool, folder, monkeypatch, tokenizer):
    monkeypatch.chdir(folder)
    Path('empty').mkdir()
    with pytest.raises(WeightsError, match=f'--tokenizer {tokenizer}: .*hf download .* give --tokenizer DIR'):
        tool.convert(folder, folder / 'hf', tokenizer=tokenizer, activation='gelu')


def test_command_line(tool, folder, monkeypatch, capsys):
    arguments = ['to_hf.py', str(folder), str(folder / 'hf'), '--tokenizer', TOKENIZER]
    monkeypatch.setattr(sys, 'argv', arguments)
    with pytest.raises(SystemExit, match='2'):
        run_tool(tool.main)
    assert capsys.readouterr().err.startswith("error: 'CLIP-ViT-any' does not tell the activation")
    monkeypatch.setattr(sys, 'argv', [*arguments, '--activation', 'gelu'])
    run_tool(tool.main)
    assert 'vision 3 layers of 128, patches of 16 in 48 px' in capsys.readouterr().out
    assert {'config.json', 'model.safetensors', 'tokenizer.json', 'preprocessor_config.json'} <= {
        path.name for path in (folder / 'hf').iterdir()}
