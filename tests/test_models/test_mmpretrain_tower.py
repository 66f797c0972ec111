"""Image backbones of mmpretrain behind the vision tower's interface."""
import copy
import sys
from pathlib import Path

import pytest
import torch
from helpers.clip import model_config
from torch import nn

from mmcma.checkpoints.checkpoint_file import load_trained
from mmcma.checkpoints.identity import backbone_identity
from mmcma.models.trained_state import trained_state
from mmcma.structures import RetrievalSample
from mmcma.utils.errors import ConfigError, WeightsError
from mmcma.utils.plain_loading import UntrustedError, trusted_checkpoints

ARCH = dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=48)
SIZES = dict(arch=ARCH, img_size=32, patch_size=16)
BACKBONES = {
    'vit': dict(type='VisionTransformer', **SIZES),
    'dinov2': dict(type='mmpretrain.VisionTransformer', layer_scale_init_value=0.5, **SIZES),
    'dinov2-swiglu': dict(type='VisionTransformer', layer_scale_init_value=0.5,
                          layer_cfgs=dict(ffn_type='swiglu_fused'), **SIZES),
    'clip': dict(type='VisionTransformer', pre_norm=True, norm_cfg=dict(type='LN', eps=1e-5), **SIZES),
    'eva02': dict(type='ViTEVA02', sub_ln=True, out_type='avg_featmap', **SIZES),
    'beit': dict(type='BEiTViT', **SIZES),
    'beit-shared': dict(type='BEiTViT', use_rel_pos_bias=False, use_shared_rel_pos_bias=True, out_type='cls_token',
                        final_norm=True, layer_scale_init_value=0, **SIZES)}


def plain(name: str) -> nn.Module:
    """The backbone as mmpretrain builds it, with every weight drawn anew."""
    import mmpretrain.models  # noqa: F401
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import MODELS
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        backbone = MODELS.build(copy.deepcopy(BACKBONES[name]))
    backbone.eval()
    torch.manual_seed(0)
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.2)
    return backbone


def write(path, backbone: nn.Module, **others) -> str:
    """A checkpoint of a whole classifier."""
    state = {f'backbone.{name}': tensor for name, tensor in backbone.state_dict().items()}
    torch.save(dict(meta=dict(epoch=1), state_dict={**state, **others}), path)
    return str(path)


@pytest.fixture(scope='module', params=BACKBONES)
def made(request, tmp_path_factory):
    """Name, plain backbone, checkpoint."""
    backbone = plain(request.param)
    path = tmp_path_factory.mktemp('weights') / 'classifier.pth'
    return request.param, backbone, write(path, backbone, **{'head.layers.head.weight': torch.zeros(10, 32)})


def config(made, **changes) -> dict:
    name, _, path = made
    return dict(type='MMPretrainTower', **{**dict(backbone=BACKBONES[name], embed_dim=32, checkpoint=path), **changes})


def test_features_are_the_plain_backbones(made, build):
    tower, pixels = build(config(made)).eval(), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = made[1](pixels)[-1] @ tower.projection.weight.T
        torch.testing.assert_close(tower(pixels), expected, atol=1e-5, rtol=1e-5)
    assert tower.image_size == 32 and tower.image_mean == pytest.approx([123.675 / 255, 116.28 / 255, 103.53 / 255])
    assert tower.image_std == pytest.approx([58.395 / 255, 57.12 / 255, 57.375 / 255])


@torch.no_grad()
def test_sites_are_the_branches_before_the_sum(made, build):
    """A first layer whose branches are shifted: the two sums by hand, from what entered and left each branch."""
    name, _, _ = made
    tower, shift, seen = build(config(made)).eval(), 0.3, {}
    assert len(tower.blocks) == 3 and len({id(site.module) for site in tower.sites}) == 6
    block = tower.blocks[0]

    def begin(key, module, args):
        seen[key, 'in'] = args[0]

    def end(key, module, args, output):
        seen[key, 'out'] = output + shift
        return output + shift

    for site in tower.sites[:2]:
        (site.entry or site.module).register_forward_pre_hook(lambda m, a, key=site.kind: begin(key, m, a))
        site.module.register_forward_hook(lambda m, a, o, key=site.kind: end(key, m, a, o))
    block.register_forward_hook(lambda m, args, output: seen.update(x=args[0], y=output))
    tower(torch.randn(2, 3, 32, 32))
    first, second = (block.norm1, block.norm2) if name == 'eva02' else (block.ln1, block.ln2)
    scales = (block.gamma_1, block.gamma_2) if name == 'beit' else (1, 1)  # after the site, see the tower
    torch.testing.assert_close(seen['attn', 'in'], first(seen['x']))
    middle = seen['x'] + scales[0] * seen['attn', 'out']
    torch.testing.assert_close(seen['ffn', 'in'], second(middle))
    torch.testing.assert_close(seen['y'], middle + scales[1] * seen['ffn', 'out'])


def batch():
    samples = [RetrievalSample(item_id=str(i), item_index=i, captions=[caption], frame_mask=torch.ones(2, dtype=bool))
               for i, caption in enumerate(['a red star', 'snow', 'a blue moon'])]
    return dict(inputs=[torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8) for _ in samples],
                data_samples=samples)


def test_two_steps_train_adapters_and_projection_alone(made, tiny_clip, build):
    model = build(model_config(tiny_clip, vision_backbone=config(made))).train()
    assert not model.vision_backbone.backbone.training and model.vision_backbone.projection.training
    # three vision layers and two text layers, paired from the last
    assert [slot.shared is not None for slot in model.neck.slots] == [False] * 2 + [True] * 4
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.trainable_parameters().values(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(**model.data_preprocessor(batch()), mode='loss')['loss'].backward()
        optimizer.step()
    for name, tensor in model.state_dict().items():
        trains = name.startswith('neck.') or name == 'vision_backbone.projection.weight'
        assert torch.equal(tensor, before[name]) != trains, name


def test_a_checkpoint_of_ours_holds_the_projection_and_finds_its_backbone(made, tiny_clip, build):
    model = build(model_config(tiny_clip, vision_backbone=config(made))).eval()
    stored = dict(state_dict=trained_state(model), backbone=backbone_identity(model))
    assert 'vision_backbone.projection.weight' in stored['state_dict'] and stored['backbone']['fingerprint']
    torch.manual_seed(1)
    other = build(model_config(tiny_clip, vision_backbone=config(made))).eval()
    nn.init.normal_(other.vision_backbone.projection.weight)
    load_trained(other, stored)
    frames = batch()['inputs'][0][None]
    with torch.no_grad():
        assert torch.equal(other.encode_visual(frames).pooled, model.encode_visual(frames).pooled)
        next(other.vision_backbone.backbone.parameters()).add_(1)
    assert other.backbone_fingerprint() != stored['backbone']['fingerprint']


def test_mmengines_init_weights_leaves_what_was_read(made, tiny_clip, build):
    model = build(model_config(tiny_clip, vision_backbone=config(made)))
    before = copy.deepcopy(model.state_dict())
    model.init_weights()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize('part', [True, 'norm', 'bias', 'last_1_layers'])
def test_named_parts_train_beside_the_projection(made, build, part):
    tower = build(config(made, trainable=part))
    ids = {id(p) for p in tower.trainable_parameters()}
    names = {name for name, p in tower.named_parameters() if id(p) in ids}
    assert 'projection.weight' in names and any(name.startswith('backbone.') for name in names)
    if part == 'last_1_layers':
        assert any('.layers.2.' in name for name in names)
        assert not any(name.startswith(f'backbone.{word}') for name in names for word in (
            'layers.0', 'layers.1', 'cls_token', 'pos_embed', 'patch_embed', 'pre_norm', 'rel_pos_bias'))


def test_layers_with_positions_of_their_own_take_no_prompts(made, build):
    name = made[0]
    assert build(config(made)).prompt_start == (None if name.startswith(('eva02', 'beit')) else 1)


def test_positions_are_resized_to_the_size_at_hand(made, build):
    if made[0].startswith('beit'):
        pytest.importorskip('scipy')  # mmpretrain resizes relative positions with it
    tower = build(config(made, backbone=dict(BACKBONES[made[0]], img_size=48)))
    assert tower.image_size == 48 and tower(torch.randn(1, 3, 48, 48)).shape == (1, 32)


def test_checkpoints_that_do_not_fit_are_refused_by_name(tmp_path, build):
    backbone = plain('vit')
    given = dict(type='MMPretrainTower', backbone=BACKBONES['vit'], embed_dim=32)
    path = write(tmp_path / 'more.pth', backbone, **{'backbone.layers.9.ln1.weight': torch.zeros(32)})
    with pytest.raises(WeightsError, match=r"missing \[\] \(0 in all\), unexpected \['layers.9.ln1.weight'\]"):
        build(dict(given, checkpoint=path))
    path = write(tmp_path / 'other.pth', backbone, **{'text.weight': torch.zeros(32)})
    with pytest.raises(WeightsError, match=r"unexpected \['text.weight'\]"):
        build(dict(given, checkpoint=path))
    del backbone.ln1
    with pytest.raises(WeightsError, match=r"missing \['ln1.bias', 'ln1.weight'\] \(2 in all\)"):
        build(dict(given, checkpoint=write(tmp_path / 'less.pth', backbone)))
    with pytest.raises(WeightsError, match='size mismatch'):
        build(dict(given, checkpoint=write(tmp_path / 'eva.pth', plain('vit')),
                   backbone=dict(BACKBONES['vit'], arch=dict(ARCH, feedforward_channels=64))))
    (tmp_path / 'text.pth').write_text('no checkpoint')
    with pytest.raises(WeightsError, match="text.pth' cannot be read"):
        build(dict(given, checkpoint=str(tmp_path / 'text.pth')))


def test_weights_are_read_as_all_files_of_pytorch_are(tmp_path, build):
    """What brings code is refused unless it is trusted, and a flipped bit is seen."""
    backbone, given = plain('vit'), dict(type='MMPretrainTower', backbone=BACKBONES['vit'], embed_dim=8)
    torch.save(dict(state_dict=backbone.state_dict(), optimizer=torch.nn.Linear(1, 1)), tmp_path / 'module.pth')
    with pytest.raises(UntrustedError, match='--trust-checkpoint'):
        build(dict(given, checkpoint=str(tmp_path / 'module.pth')))
    with trusted_checkpoints():
        tower = build(dict(given, checkpoint=str(tmp_path / 'module.pth')))
    assert torch.equal(tower.backbone.pos_embed, backbone.pos_embed)
    content = bytearray(Path(write(tmp_path / 'damaged.pth', backbone)).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / 'damaged.pth').write_bytes(content)
    with pytest.raises(WeightsError, match='is damaged'):
        build(dict(given, checkpoint=str(tmp_path / 'damaged.pth')))


def test_bare_state_dicts_fit_too(tmp_path, build):
    backbone = plain('vit')
    torch.save(backbone.state_dict(), tmp_path / 'bare.pth')
    tower = build(dict(type='MMPretrainTower', backbone=BACKBONES['vit'], embed_dim=8,
                       checkpoint=str(tmp_path / 'bare.pth')))
    assert torch.equal(tower.backbone.pos_embed, backbone.pos_embed)


def test_names_of_models(build, monkeypatch, tmp_path):
    given = dict(type='MMPretrainTower', backbone=BACKBONES['vit'], embed_dim=32)
    with pytest.raises(WeightsError, match='neither a file nor a model of mmpretrain. Did you mean .*dinov2-pre'):
        build(dict(given, checkpoint='vit-base-p14_dinov2_3rdparty'))

    def offline(address, *args, **kwargs):
        raise OSError('no network')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', offline)
    with pytest.raises(WeightsError, match=r'no reading https://.*\.pth \(no network\). Fetch it'):
        build(dict(given, checkpoint='vit-base-p14_dinov2-pre_3rdparty'))


@pytest.mark.parametrize('wrong, said', [
    (dict(checkpoint=None), 'random weights that never train'),
    (dict(backbone=dict(type='ResNet', depth=18), trainable=True), "choose one of .*'ViTEVA02'"),
    (dict(backbone=dict(type='ViTransformer'), trainable=True), 'cannot be built.*ViTransformer'),
    (dict(backbone=dict(SIZES, type='VisionTransformer', archs='b'), trainable=True), 'cannot be built.*archs'),
    (dict(backbone=dict(SIZES, type='VisionTransformer', out_type='raw'), trainable=True), "out_type='raw'"),
    (dict(backbone=dict(SIZES, type='VisionTransformer', img_size=(32, 48)), trainable=True), 'not square')])
def test_wrong_arguments(build, wrong, said):
    with pytest.raises(ConfigError, match=said):
        build(dict(type='MMPretrainTower', **{**dict(backbone=BACKBONES['vit'], embed_dim=32), **wrong}))


def test_random_weights_train_whole(build):
    tower = build(dict(type='MMPretrainTower', backbone=BACKBONES['vit'], embed_dim=32, trainable=True))
    assert tower.source is None and {id(p) for p in tower.parameters()} == {id(p) for p in tower.trainable_parameters()}
    assert tower.backbone.pos_embed.std() > 0  # drawn by mmpretrain's own rules


def test_without_torchvision_the_error_says_what_to_install(build, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmpretrain.models', None)  # as where its own import fails
    with pytest.raises(ConfigError, match='needs mmpretrain and a torchvision that fits torch .*pip install'):
        build(dict(type='MMPretrainTower', backbone=BACKBONES['vit'], embed_dim=32, trainable=True))
