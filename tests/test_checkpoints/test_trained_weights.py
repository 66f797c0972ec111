import pytest
import torch
from helpers.clip import model_config, write_clip
from torch import nn

from mmcma.checkpoints.checkpoint_file import load_trained, newest_checkpoint, read_checkpoint
from mmcma.checkpoints.identity import backbone_identity
from mmcma.models.trained_state import trained_names, trained_state
from mmcma.utils.digests import tensor_digests
from mmcma.utils.errors import WeightsError


@pytest.fixture
def model(build, tiny_clip):
    return build(model_config(tiny_clip))


def checkpoint_of(model) -> dict:
    state = {name: torch.randn_like(tensor) for name, tensor in trained_state(model).items()}
    return dict(meta=dict(iter=1), state_dict=state, backbone=backbone_identity(model))


def test_only_the_necks_tensors_are_trained(model):
    assert trained_names(model) == [name for name in model.state_dict() if name.startswith('neck.')]


def test_running_statistics_of_what_trains_are_kept():
    model = nn.ModuleDict(dict(tower=nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2))))
    model.tower[0].requires_grad_(False)
    assert trained_names(model) == [f'tower.1.{name}' for name in (
        'weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')]


def test_what_is_loaded_is_what_was_saved(model, build, tiny_clip, tmp_path):
    checkpoint = checkpoint_of(model)
    torch.save(checkpoint, tmp_path / 'a.pth')
    frozen = tensor_digests(build(model_config(tiny_clip)).vision_backbone.state_dict().items())
    load_trained(model, tmp_path / 'a.pth')
    for name, tensor in checkpoint['state_dict'].items():
        assert torch.equal(model.state_dict()[name], tensor)
    assert tensor_digests(model.vision_backbone.state_dict().items()) == frozen


def test_another_backbone_is_refused_unless_asked_for(model, build, tmp_path):
    other = build(model_config(write_clip(tmp_path, seed=1)))
    checkpoint = checkpoint_of(model)
    with pytest.raises(WeightsError) as error:
        load_trained(other, checkpoint)
    message = str(error.value)
    for part in (model.backbone_name, other.backbone_name, model.backbone_fingerprint(),
                 other.backbone_fingerprint(), 'allow_other_backbone=True'):
        assert part in message
    assert '\n' not in message
    load_trained(other, checkpoint, allow_other_backbone=True)
    assert torch.equal(trained_state(other)['neck.slots.0.vision.down.weight'],
                       checkpoint['state_dict']['neck.slots.0.vision.down.weight'])


def test_missing_unexpected_and_misshapen_tensors_are_named(model):
    checkpoint = checkpoint_of(model)
    first, second, *_ = checkpoint['state_dict']
    checkpoint['state_dict']['neck.other'] = checkpoint['state_dict'].pop(first)
    with pytest.raises(WeightsError, match=rf"missing \['{first}'\], unexpected \['neck.other'\]"):
        load_trained(model, checkpoint)
    checkpoint['state_dict'][first] = checkpoint['state_dict'].pop('neck.other')
    checkpoint['state_dict'][second] = torch.zeros(3)
    with pytest.raises(WeightsError, match=rf'{second} has shape \(3,\)'):
        load_trained(model, checkpoint)


def test_unreadable_files_are_named(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'whole.pth')
    (tmp_path / 'cut.pth').write_bytes((tmp_path / 'whole.pth').read_bytes()[:300])
    (tmp_path / 'empty.pth').write_bytes(b'')
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(WeightsError, match="no.pth' does not exist.*whole.pth"):
        read_checkpoint(tmp_path / 'no.pth')
    for name, reason in (('cut', 'cannot be read'), ('empty', 'cannot be read'), ('list', 'no state_dict')):
        with pytest.raises(WeightsError, match=f"{name}.pth'.*{reason}") as error:
            read_checkpoint(tmp_path / f'{name}.pth')
        assert '\n' not in str(error.value)


def test_the_newest_checkpoint_is_the_furthest_whole_one(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for epoch in (2, 9, 10):
        torch.save(dict(state_dict={}, meta=dict(iter=epoch)), tmp_path / f'epoch_{epoch}.pth')
    assert newest_checkpoint(tmp_path)[0].name == 'epoch_10.pth'
    (tmp_path / 'epoch_10.pth').write_bytes(b'half')
    (tmp_path / 'last_checkpoint').write_text('epoch_10.pth')
    assert newest_checkpoint(tmp_path)[0].name == 'epoch_9.pth'
    torch.save(dict(state_dict={}, meta=dict(iter=11)), tmp_path / 'iter_11.pth')
    path, checkpoint = newest_checkpoint(tmp_path)
    assert path.name == 'iter_11.pth' and checkpoint == read_checkpoint(path)


def test_a_digest_sees_a_single_bit():
    tensor = torch.zeros(3, dtype=torch.bfloat16)
    before = tensor_digests([('x', tensor), ('scalar', torch.tensor(1.0)), ('empty', torch.zeros(0))])
    tensor[1] = -0.0
    after = tensor_digests([('x', tensor), ('scalar', torch.tensor(1.0)), ('empty', torch.zeros(0))])
    assert [name for name in before if before[name] != after[name]] == ['x']
