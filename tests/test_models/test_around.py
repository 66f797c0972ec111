"""A neck that decides what runs in a layer's place, prompts made of hidden states, and losses beside the head's."""
import copy
import pickle
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from helpers import around_neck  # noqa: F401  (registers it)
from helpers.clip import model_config
from helpers.clips import FRAMES, batch
from helpers.fake_tower import FakeTower
from helpers.processes import in_group
from mmengine.config import Config
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mmcma.engine.hooks import ActivationCheckpointHook
from mmcma.models import Neck
from mmcma.models.trained_state import trained_state
from mmcma.registry import MODELS
from mmcma.utils.errors import ConfigError

ONES = torch.ones(1, 2, 3)
NECK = dict(type='AroundNeck', weight=0.5)
#: Methods with losses of their own: of the clips, and of captions of frames.
LOSING = [NECK, dict(type='DiscoVLA', lora_rank=2, clip_layers=1, frame_captions=True, caption_layers=1)]


class Twice(Neck):
    """Runs the first layer twice on ``value * x`` and adds both outputs."""

    def attach(self, *, vision, text):
        self.value = nn.Parameter(torch.ones(()))
        self.rewrite_around(vision.blocks[0], self.run, 'vision layer 0')

    def run(self, call, hidden):
        return call(self.value * hidden) + call(hidden=self.value * hidden)


class AddOne(Neck):
    """Adds 1 to what enters and 10 to what leaves the first layer."""

    def attach(self, *, vision, text):
        self.rewrite_input(vision.blocks[0], partial(self.add, 1), 'vision layer 0')
        self.rewrite_output(vision.blocks[0], partial(self.add, 10), 'vision layer 0')

    def add(self, value, hidden):
        return hidden + value


def attached(*necks) -> nn.ModuleList:
    """A fake tower, whose layer multiplies by 4, and the necks."""
    tower = FakeTower(1, 3)
    for neck in necks:
        neck.attach(vision=tower, text=FakeTower(1, 3))
    return nn.ModuleList([tower, *necks])


def test_by_hand():
    tower, neck = attached(Twice())
    assert (tower(ONES) == 8).all()
    with neck.disabled():
        assert (tower(ONES) == 4).all()
    assert (tower(ONES) == 8).all()


def test_what_other_methods_hook_to_both_ends_stays_before_and_after():
    for necks in ((Twice(), AddOne()), (AddOne(), Twice())):
        assert (attached(*necks)[0](ONES) == 8 * 2 + 10).all()


def test_two_around_one_layer_are_refused():
    with pytest.raises(ConfigError, match='Twice and Twice both rewrite the call of vision layer 0; keep one of them'):
        attached(Twice(), Twice())


@pytest.mark.parametrize('twin_of', [copy.deepcopy, lambda parts: pickle.loads(pickle.dumps(parts))],
                         ids=['deepcopy', 'pickle'])
def test_a_copy_runs_by_itself(twin_of):
    parts = attached(Twice(), AddOne())
    twin = twin_of(parts)
    nn.init.constant_(twin[1].value, 2.0)
    assert (twin[0](ONES) == 2 * 8 * 2 + 10).all() and (parts[0](ONES) == 8 * 2 + 10).all()
    with twin[1].disabled():
        assert (twin[0](ONES) == 4 * 2 + 10).all() and (parts[0](ONES) == 8 * 2 + 10).all()


def model_of(tiny_clip, seed: int = 3, **changes):
    """The small CLIP with :class:`AroundNeck`, whose weights all matter."""
    model = MODELS.build(model_config(tiny_clip, **{'neck': NECK, **changes}))
    torch.manual_seed(seed)
    for parameter in model.trainable_parameters().values():
        nn.init.normal_(parameter, mean=0.5, std=0.3)
    return model


def step(model, size: int = 4):
    """Losses and gradients of a training batch."""
    model.train().zero_grad()
    losses = model(**model.data_preprocessor(batch(size, frames=3), True), mode='loss')
    total, shown = model.parse_losses(losses)
    total.backward()
    return shown, {name: p.grad.clone() for name, p in model.trainable_parameters().items()}


def assert_equal(found, expected, rtol: float = 1e-4) -> None:
    for ours, theirs in zip(found, expected):
        assert ours.keys() == theirs.keys()
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], rtol=rtol, atol=1e-5, msg=name)


@torch.no_grad()
def test_on_clip_it_is_a_plain_loop_over_the_layers(tiny_clip):
    model = model_of(tiny_clip).eval()
    pixels = model.data_preprocessor.normalise(FRAMES)
    found = model.vision_backbone(pixels)
    neck, tower = model.neck, model.vision_backbone
    with model.zero_shot():
        assert not torch.allclose(tower(pixels), found, atol=1e-2)
        x = tower.encoder.embeddings(pixels.flatten(0, 1))  # (B * T, L, D)
        x = tower.encoder.pre_layrnorm(torch.cat([x[:, :1], neck.prompts(0, x), x[:, 1:]], dim=1))
        one, two = tower.blocks
        clips = (neck.scale * one.layer_norm1(x)).view(2, -1, x.shape[-1])  # (B, T * L, D)
        x = x + one.self_attn(clips)[0].view_as(x)
        x = x + one.mlp(one.layer_norm2(x))
        x = two(torch.cat([x[:, :1], neck.prompts(1, x), x[:, 3:]], dim=1), None)
        expected = tower.projection(tower.encoder.post_layernorm(x[:, 0])).view_as(found)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_parts_of_a_batch_have_the_losses_and_gradients_of_the_whole(tiny_clip):
    whole = step(model_of(tiny_clip))
    assert set(whole[0]) == {'loss', 'loss_retrieval', 'loss_together', 'logit_scale'}
    assert whole[0]['loss'] == whole[0]['loss_retrieval'] + whole[0]['loss_together'] != whole[0]['loss_retrieval']
    for size in (1, 3):
        assert_equal(step(model_of(tiny_clip, micro_batch_size=size)), whole)


@pytest.mark.parametrize('changes', [{}, dict(micro_batch_size=2)], ids=['whole', 'parts'])
def test_recomputed_activations_give_the_same_gradients(tiny_clip, changes):
    plain, model = step(model_of(tiny_clip)), model_of(tiny_clip, **changes)
    turn_on_activation_checkpointing(model, ['vision_backbone', 'text_backbone'])
    ActivationCheckpointHook().before_train(SimpleNamespace(
        cfg=Config(dict(activation_checkpointing=['vision_backbone', 'text_backbone'])), model=model))
    assert_equal(step(model), plain)


def test_bf16_autocast_reaches_every_weight(tiny_clip):
    plain, (losses, gradients) = step(model_of(tiny_clip)), step(model_of(tiny_clip, precision='bf16'))
    torch.testing.assert_close(losses['loss'], plain[0]['loss'], rtol=0.05, atol=0.05)
    assert all(gradient.any() and gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize('neck', [NECK, dict(type='CombinedNeck', necks=[
    NECK, dict(type='CrossModalAdapter', bottleneck_dim=2, shared_dim=4)])], ids=lambda neck: neck['type'])
def test_a_copy_of_the_model_has_weights_of_its_own(tiny_clip, neck):
    model = model_of(tiny_clip, neck=neck).eval()
    with torch.no_grad():
        before = model.encode_visual(FRAMES).tokens
        twin = copy.deepcopy(model)
        assert torch.equal(twin.encode_visual(FRAMES).tokens, before)
        for parameter in twin.neck.parameters():
            parameter.zero_()
        assert not torch.allclose(twin.encode_visual(FRAMES).tokens, before)
        assert torch.equal(model.encode_visual(FRAMES).tokens, before)


def test_two_adapters_on_one_backbone_take_turns(tiny_clip):
    """Each with its own neck around the same layer; the inactive one does nothing."""
    alone, other = model_of(tiny_clip).eval(), model_of(tiny_clip, seed=4).eval()
    both = model_of(tiny_clip).eval()
    both.load_adapter('other', Config(dict(model=model_config(tiny_clip, neck=NECK))), trained_state(other))
    with torch.no_grad():
        assert torch.equal(both.encode_visual(FRAMES).tokens, alone.encode_visual(FRAMES).tokens)
        with both.adapter('other'):
            assert torch.equal(both.encode_visual(FRAMES).tokens, other.encode_visual(FRAMES).tokens)
        assert torch.equal(both.encode_visual(FRAMES).tokens, alone.encode_visual(FRAMES).tokens)


def test_an_adapter_that_is_refused_leaves_no_call_changed(tiny_clip):
    model = model_of(tiny_clip).eval()
    with torch.no_grad():
        before = model.encode_visual(FRAMES).tokens
        twice = dict(type='CombinedNeck', necks=[NECK, NECK])
        with pytest.raises(ConfigError, match='AroundNeck and AroundNeck both rewrite the call of vision layer 0 attn'):
            model.load_adapter('twice', Config(dict(model=model_config(tiny_clip, neck=twice))), {})
        assert torch.equal(model.encode_visual(FRAMES).tokens, before)


def test_it_compiles_in_one_piece(tiny_clip):
    torch._dynamo.reset()
    tower = model_of(tiny_clip).vision_backbone
    pixels = torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        compiled = torch.compile(tower, backend='eager', fullgraph=True)(pixels)
        torch.testing.assert_close(compiled, tower(pixels))


def of_rank(clip: str) -> list[tuple[dict, dict]]:
    """Losses and gradients of this process's half of the batch, with each of LOSING."""
    return [half_a_step(model_of(clip, neck=neck)) for neck in LOSING]


def half_a_step(model) -> tuple[dict, dict]:
    rank = distributed.get_rank()
    model.train()
    data = model.data_preprocessor(batch(4, frames=3), True)
    rows = slice(2 * rank, 2 * rank + 2)
    data = dict(inputs={name: value[rows] for name, value in data['inputs'].items()},
                data_samples=data['data_samples'][rows])
    parallel = DistributedDataParallel(model)  # it averages gradients as long as it is there
    losses = parallel(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    return ({name: loss.detach() for name, loss in losses.items()},
            {name: p.grad for name, p in model.trainable_parameters().items()})


def test_two_processes_have_the_losses_and_gradients_of_one(tiny_clip):
    whole = [step(model_of(tiny_clip, neck=neck)) for neck in LOSING]
    for of_both in in_group(of_rank, tiny_clip):
        for (found, found_gradients), (losses, gradients) in zip(of_both, whole, strict=True):
            assert len(found) > 2
            for name, value in found.items():
                torch.testing.assert_close(value, losses[name], rtol=1e-4, atol=1e-5)
            assert_equal([found_gradients], [gradients])


def test_losses_are_off_without_the_neck_and_in_tests(tiny_clip, monkeypatch):
    model = model_of(tiny_clip)
    with model.zero_shot():
        assert set(model(**model.data_preprocessor(batch(), True), mode='loss')) == {'loss', 'logit_scale'}
    monkeypatch.setattr(model.neck, 'losses', None)
    monkeypatch.setattr(model.neck, 'extra_features', None)
    model.eval().test_step(batch())
    assert set(model_of(tiny_clip, neck=dict(type='AroundNeck'))(
        **model.data_preprocessor(batch(), True), mode='loss')) == {'loss', 'logit_scale'}


def test_losses_of_one_name_are_refused(tiny_clip):
    class Same(Neck):
        def attach(self, *, vision, text):
            pass

        def losses(self, text, visual, positives, logits, scale):
            return dict(together=scale)

    model = model_of(tiny_clip, neck=dict(type='CombinedNeck', necks=[NECK, dict(type='CoOp')]))
    model.neck.necks[1] = Same()
    with pytest.raises(ConfigError, match=r"of the names \['together'\]"):
        model(**model.data_preprocessor(batch(), True), mode='loss')


@pytest.mark.parametrize('count', [1, 2])
def test_tokens_of_the_whole_clip_in_place_of_its_frames(tiny_clip, count):
    """They are all valid, whatever frames are padding, and no share of a frame is told of them."""
    model = model_of(tiny_clip, neck=dict(type='AroundNeck', clip_tokens=count)).eval()
    data = batch(frames=3)
    for sample in data['data_samples']:
        sample.frame_mask = torch.tensor([True, False, False])
    with torch.no_grad():
        samples = model.test_step(data)
        visual = model.encode_visual(FRAMES, torch.tensor([[True, False, False]] * 2))
        assert visual.tokens.shape == (2, count, 32) and visual.mask is None
        torch.testing.assert_close(visual.pooled, visual.tokens.mean(dim=1))
        text = model.encode_text(['a', 'b'])
        assert model.similarity(text, visual).shape == (2, 2) and model.frame_weights(text, visual) is None
        with model.zero_shot():
            assert model.encode_visual(FRAMES).tokens.shape == (2, 3, 32)
            assert model.frame_weights(text, model.encode_visual(FRAMES)).shape == (2, 2, 3)
    assert all(sample.visual_tokens.shape == (count, 32) for sample in samples)
    assert all(sample.visual_mask.tolist() == [True] * count for sample in samples)


@pytest.mark.parametrize('similarity, needed', [(dict(type='TopKFrames', k=3), 3), (dict(type='SeqTransformer'), 2)])
def test_fewer_tokens_than_the_head_needs_are_refused(tiny_clip, build, similarity, needed):
    head = dict(type='RetrievalHead', similarity=similarity, loss=dict(type='SymmetricInfoNCE'))
    with pytest.raises(ConfigError, match=rf'AroundNeck leaves 1 token.* and {similarity["type"]} needs {needed}: '
                                          'choose another model.head.similarity'):
        build(model_config(tiny_clip, neck=dict(type='AroundNeck', clip_tokens=1), head=head))


def test_two_methods_that_leave_tokens_of_their_own_are_refused(build):
    neck = dict(type='AroundNeck', clip_tokens=1)
    with pytest.raises(ConfigError, match='AroundNeck and AroundNeck each leave tokens of their own in place of the '):
        build(dict(type='CombinedNeck', necks=[neck, neck]))
