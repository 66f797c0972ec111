"""Prompt methods against plain loops over the layers, and what towers and captions must offer them."""
import copy
import json
from functools import partial

import pytest
import torch
from helpers import official_reference
from helpers import prompt_reference as reference
from helpers.architectures import ARCHITECTURES, CONTEXT, write_dual
from helpers.clip import model_config, write_clip
from helpers.fake_tower import FakeTower
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmcma.models import VPT, CoOp, MaPLe, VLPrompt
from mmcma.utils.errors import ConfigError

NECKS = dict(
    coop=dict(type='CoOp', num_prompts=3),
    shallow=dict(type='VPT', num_prompts=3, depth=1),
    deep=dict(type='VPT', num_prompts=3),
    both=dict(type='VLPrompt', num_prompts=3),
    maple=dict(type='MaPLe', num_prompts=3, depth=2),
    maple_first=dict(type='MaPLe', num_prompts=3, depth=1))
CAPTIONS = ['a red star', 'moon', 'a blue king to the left of a black umbrella']


class FakeText(FakeTower):
    """A text tower that gives the hidden states after its layers, and the mask that it got."""

    def __init__(self, layers: int, dim: int, *, start: int = 1, context: int = 77) -> None:
        super().__init__(layers, dim)
        self.prompt_start, self.context_length = start, context

    def forward(self, token_ids: Tensor, mask: Tensor, with_tokens: bool = False) -> tuple[Tensor, Tensor]:
        return super().forward(self.token_embedding(token_ids)), mask


def count(neck) -> int:
    neck.attach(vision=FakeTower(12, 768), text=FakeText(12, 512))
    return sum(p.numel() for p in neck.parameters())


def test_parameter_counts_on_vit_b():
    assert count(CoOp(num_prompts=4)) == 4 * 512
    assert count(CoOp(num_prompts=16)) == 16 * 512
    assert count(VPT(num_prompts=8, depth=1)) == 8 * 768
    assert count(VPT(num_prompts=8)) == 12 * 8 * 768
    assert count(VLPrompt(num_prompts=2)) == 12 * 2 * (768 + 512)
    assert count(MaPLe()) == 9 * 2 * 512 + 9 * (512 * 768 + 768) == 3_555_072


@pytest.fixture
def prompted(tiny_clip, build):
    """Builds the small CLIP with a method whose tokens are as large as what they stand among."""
    def make(name: str, **changes):
        model = build(model_config(tiny_clip, neck=NECKS[name], **changes)).eval()
        with torch.no_grad():
            for parameter in model.neck.parameters():
                parameter.normal_(std=0.5)
        return model
    return make


def tokens(neck, modality: str) -> list[Tensor]:
    """The method's tokens, a layer at a time, worked out from its weights."""
    if modality == 'vision' and isinstance(neck, MaPLe):
        return [prompts @ linear.weight.T + linear.bias for prompts, linear in zip(neck.text.tokens, neck.coupling)]
    return list(getattr(neck, modality).tokens)


def put_in(x: Tensor, prompts: Tensor, instead_of: int) -> Tensor:
    return torch.cat([x[:, :1], prompts.expand(len(x), -1, -1), x[:, 1 + instead_of:]], dim=1)


def through_layers(tower, x: Tensor, deep: list[Tensor], mask=None) -> Tensor:
    x = tower.blocks[0](x, mask)
    for layer, block in enumerate(tower.blocks[1:]):
        x = block(put_in(x, deep[layer], len(deep[layer])) if layer < len(deep) else x, mask)
    return x


@pytest.mark.parametrize('name', ['shallow', 'deep', 'both', 'maple', 'maple_first'])
def test_vision_prompts_are_a_plain_loop_over_the_layers(prompted, name):
    model = prompted(name)
    tower, pixels = model.vision_backbone, torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        embedded = tower(pixels)
        with model.zero_shot():
            plain = tower(pixels)
            first, *deep = tokens(model.neck, 'vision')
            x = tower.encoder.pre_layrnorm(put_in(tower.encoder.embeddings(pixels), first, 0))
            x = through_layers(tower, x, deep)
            oracle = tower.projection(tower.encoder.post_layernorm(x[:, 0]))
    torch.testing.assert_close(embedded, oracle)
    assert (embedded - plain).abs().max() > 1e-2


@pytest.mark.parametrize('name', ['coop', 'both', 'maple', 'maple_first'])
def test_text_prompts_are_a_plain_loop_over_the_layers(prompted, name):
    model = prompted(name)
    tower = model.text_backbone
    ids, mask = model.data_preprocessor.tokenise(CAPTIONS)
    length = ids.shape[1] + 3
    causal = torch.full((length, length), float('-inf')).triu(1)[None, None]
    with torch.no_grad():
        pooled = tower(ids, mask).pooled
        with model.zero_shot():
            plain = tower(ids, mask).pooled
            first, *deep = tokens(model.neck, 'text')
            x = put_in(tower.token_embedding(ids), first, 0)
            x = through_layers(tower, x + tower.encoder.embeddings.position_embedding.weight[:length], deep, causal)
            end = (ids == tower.tokenizer.eos_token_id).int().argmax(dim=1) + 3
            oracle = tower.projection(tower.encoder.final_layer_norm(x)[torch.arange(3), end])
    torch.testing.assert_close(pooled, oracle)
    assert (pooled - plain).abs().max() > 1e-2


@pytest.mark.parametrize('case', reference.CASES)
def test_features_are_those_of_the_public_code(tmp_path, build, case):
    model = build(model_config(official_reference.write_hf_folder(tmp_path), neck=reference.CASES[case],
                               data_preprocessor=dict(type='RetrievalDataPreprocessor'))).eval()
    weights, (frames, ids) = reference.weights(), reference.inputs()
    found = {}
    with torch.no_grad():
        for modality in ('vision', 'text'):
            if hasattr(model.neck, modality):
                own = getattr(model.neck, modality).tokens
                own.copy_(weights[modality][:len(own)])
        for layer, linear in enumerate(getattr(model.neck, 'coupling', [])):
            linear.weight.copy_(weights['weight'][layer])
            linear.bias.copy_(weights['bias'][layer])
        found = dict(vision=model.vision_backbone(frames), text=model.text_backbone(ids, ids != 0).pooled)
    golden = json.loads(reference.GOLDEN.read_text())[case]
    for side, expected in golden.items():
        torch.testing.assert_close(found[side], torch.tensor(expected), atol=1e-5, rtol=1e-5)
    assert set(golden) == ({'vision', 'text'} if case in ('vl-prompt', 'maple') else
                           {'text'} if case == 'coop' else {'vision'})


def test_maps_of_maple_start_equal_but_for_the_first(build, tiny_clip):
    neck = build(model_config(tiny_clip, neck=dict(type='MaPLe', num_prompts=2, depth=2))).neck
    assert not torch.equal(neck.coupling[0].weight, neck.coupling[1].weight)
    neck = MaPLe(num_prompts=2, depth=3)
    neck.attach(vision=FakeTower(3, 8), text=FakeText(3, 4))
    assert torch.equal(neck.coupling[1].weight, neck.coupling[2].weight)
    assert neck.coupling[1].weight is not neck.coupling[2].weight


@pytest.mark.parametrize('start', [0, 1])
def test_vision_prompts_are_there_in_every_layer_and_gone_after_the_last(start):
    """A layer of the fake tower multiplies by 4 and mixes nothing."""
    neck, tower = VPT(num_prompts=2, depth=2), FakeTower(3, 4)
    tower.prompt_start = start
    neck.attach(vision=tower, text=FakeText(3, 4))
    entered = []
    for site in tower.sites[::2]:
        site.module.register_forward_pre_hook(lambda module, args: entered.append(args[0]))
    x = torch.randn(5, 6, 4)
    torch.testing.assert_close(tower(x), 64 * x)
    first, second = neck.vision.tokens
    for hidden, expected, words in zip(entered, [first, second, 4 * second], [x, 4 * x, 16 * x]):
        torch.testing.assert_close(hidden[:, start:start + 2], expected.expand(5, -1, -1))
        torch.testing.assert_close(torch.cat([hidden[:, :start], hidden[:, start + 2:]], dim=1), words)


@pytest.mark.parametrize('start', [0, 1])
def test_text_prompts_stand_before_the_words(start):
    neck, tower = VLPrompt(num_prompts=2), FakeText(2, 4, start=start)
    neck.attach(vision=FakeTower(2, 4), text=tower)
    ids, mask = torch.tensor([[5, 6, 7], [8, 9, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]]).bool()
    hidden, widened = tower(ids, mask)
    words = 16 * tower.token_embedding.weight[ids]
    torch.testing.assert_close(torch.cat([hidden[:, :start], hidden[:, start + 2:]], dim=1), words)
    torch.testing.assert_close(hidden[:, start:start + 2], 4 * neck.text.tokens[1].expand(2, -1, -1))
    assert widened.tolist() == [[True] * 5, [True] * 4 + [False]]
    by_name, _ = tower(token_ids=ids, mask=mask, with_tokens=True)
    assert torch.equal(by_name, hidden)


@pytest.mark.parametrize('name', ['coop', 'both', 'maple'])
def test_a_caption_at_the_limit_keeps_its_end_token(prompted, name):
    """40 places: 3 learned tokens, the start token, 35 words and the end token."""
    model = prompted(name, data_preprocessor=dict(type='RetrievalDataPreprocessor'))
    ids, mask = model.data_preprocessor.tokenise(['red ' * 100, 'a star'])
    assert ids.shape[1] == 37 and ids[0, -1] == model.text_backbone.tokenizer.eos_token_id
    with torch.no_grad():
        text = model.text_backbone(ids, mask, with_tokens=True)
    assert text.tokens.shape[:2] == text.mask.shape == (2, 40)
    assert text.mask.sum(dim=1).tolist() == (mask.sum(dim=1) + 3).tolist()
    last = text.mask.sum(dim=1) - 1
    torch.testing.assert_close(text.tokens[torch.arange(2), last], text.pooled)


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_every_architecture_takes_them(tmp_path, build, architecture):
    """Captions do not see each other, the pooled token is in its place, and every learned token has its say."""
    model = build(model_config(write_dual(tmp_path, architecture), neck=dict(type='MaPLe', num_prompts=3, depth=2),
                               data_preprocessor=dict(type='RetrievalDataPreprocessor')))
    ids, mask = model.data_preprocessor.tokenise(CAPTIONS)
    text = model.text_backbone(ids, mask, with_tokens=True)
    assert text.tokens.shape[1] == ids.shape[1] + 3 <= CONTEXT
    place = dict(chinese_clip=torch.zeros(3, dtype=int), siglip=torch.full((3,), CONTEXT - 1)).get(
        architecture, text.mask.sum(dim=1) - 1)
    torch.testing.assert_close(text.tokens[torch.arange(3), place], text.pooled)
    torch.testing.assert_close(model.encode_text(CAPTIONS[1:2]).pooled, text.pooled[1:2])
    visual = model.encode_visual(torch.randint(0, 256, (3, 1, 3, 32, 32), dtype=torch.uint8))
    model.similarity(text, visual).diagonal().sum().backward()
    assert all(p.grad.flatten(0, -2).any(dim=-1).all() for p in model.neck.parameters() if p.ndim > 1)


@pytest.mark.parametrize('name', NECKS)
def test_without_the_neck_the_towers_are_as_they_were(prompted, build, tiny_clip, name):
    model, plain = prompted(name), build(model_config(tiny_clip, neck=None)).eval()
    frames = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad(), model.zero_shot():
        assert torch.equal(model.encode_visual(frames).tokens, plain.encode_visual(frames).tokens)
        assert torch.equal(model.encode_text(CAPTIONS).pooled, plain.encode_text(CAPTIONS).pooled)


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
@pytest.mark.parametrize('name', NECKS)
def test_gradients_reach_every_token(prompted, name, precision):
    model = prompted(name, precision=precision).train()
    frames = torch.randint(0, 256, (3, 3, 3, 32, 32), dtype=torch.uint8)
    similarity = model.similarity(model.encode_text(CAPTIONS), model.encode_visual(frames))
    similarity.diagonal().sum().backward()
    trained = model.trainable_parameters()
    assert set(trained) == {f'neck.{key}' for key, _ in model.neck.named_parameters()}
    for key, parameter in trained.items():
        per_row = parameter.grad.flatten(0, -2) if parameter.ndim > 1 else parameter.grad[None]
        assert per_row.any(dim=-1).all(), key


@pytest.mark.parametrize('name', ['both', 'maple'])
def test_recomputed_activations_give_the_same_gradients(prompted, name):
    model = prompted(name).train()
    frames = torch.randint(0, 256, (3, 3, 3, 32, 32), dtype=torch.uint8)

    def gradients() -> list[Tensor]:
        similarity = model.similarity(model.encode_text(CAPTIONS), model.encode_visual(frames))
        return torch.autograd.grad(similarity.diagonal().sum(), list(model.neck.parameters()))

    plain = gradients()
    for tower in (model.vision_backbone, model.text_backbone):
        tower.forward = partial(checkpoint, tower.forward, use_reentrant=False)
    for first, second in zip(plain, gradients()):
        torch.testing.assert_close(first, second)


def test_a_copy_has_tokens_of_its_own(prompted):
    model = prompted('maple')
    twin = copy.deepcopy(model)
    with torch.no_grad():
        before = model.encode_text(CAPTIONS).pooled
        twin.neck.text.tokens.zero_()
        assert torch.equal(model.encode_text(CAPTIONS).pooled, before)
        assert not torch.allclose(twin.encode_text(CAPTIONS).pooled, before)


@pytest.mark.parametrize('name', ['both', 'maple'])
def test_they_compile_in_one_piece(prompted, name):
    torch._dynamo.reset()
    model = prompted(name)
    ids, mask = model.data_preprocessor.tokenise(CAPTIONS)
    for tower, args in ((model.vision_backbone, (torch.randn(2, 3, 32, 32),)), (model.text_backbone, (ids, mask))):
        with torch.no_grad():
            plain = tower(*args)
            compiled = torch.compile(tower, backend='eager', fullgraph=True)(*args)
        torch.testing.assert_close(getattr(compiled, 'pooled', compiled), getattr(plain, 'pooled', plain))


def test_depth_is_each_towers_own_unless_it_is_given(tmp_path, build):
    folder = write_clip(tmp_path / 'deep', vision_layers=3, text_layers=2)
    neck = build(model_config(folder, neck=dict(type='VLPrompt'))).neck
    assert len(neck.vision.tokens) == 3 and len(neck.text.tokens) == 2
    with pytest.raises(ConfigError, match=r"MaPLe.depth=3 .* the text tower '.*deep' has 2 layers; choose 1"):
        build(model_config(folder, neck=dict(type='MaPLe', depth=3)))


@pytest.mark.parametrize('neck', [VPT(depth=0), VPT(depth=13), VLPrompt(depth=13), MaPLe(depth=13)])
def test_depth_out_of_range_is_refused(neck):
    with pytest.raises(ConfigError, match=rf"{type(neck).__name__}.depth={neck.depth} .*'fake' has 12 layers; choose"):
        neck.attach(vision=FakeTower(12, 8), text=FakeText(12, 8))


@pytest.mark.parametrize('kind', [CoOp, VPT, VLPrompt, MaPLe])
def test_less_than_one_token_is_refused(kind):
    with pytest.raises(ConfigError, match=f'{kind.__name__}.num_prompts=0 must be at least 1'):
        kind(num_prompts=0)


@pytest.mark.parametrize('neck', [VPT(), VLPrompt(), MaPLe()])
def test_a_tower_whose_layers_take_no_more_tokens_is_refused(neck):
    no_layers, no_place = FakeTower(0, 8), FakeTower(12, 8)
    no_place.prompt_start = None
    for tower in (no_layers, no_place):
        with pytest.raises(ConfigError, match=f"{type(neck).__name__} .*the vision tower 'fake' has none"):
            neck.attach(vision=tower, text=FakeText(12, 8))


def test_a_text_tower_without_token_embedding_is_refused():
    text = FakeText(2, 8)
    text.token_embedding = None
    with pytest.raises(ConfigError, match="CoOp .*the text tower 'fake' takes none"):
        CoOp().attach(vision=FakeTower(2, 8), text=text)


def test_prompts_must_leave_room_for_a_word():
    CoOp(num_prompts=74).attach(vision=FakeTower(2, 8), text=FakeText(2, 8))
    with pytest.raises(ConfigError, match='CoOp: 75 learned tokens leave no room .* 77 tokens .* use at most 74'):
        CoOp(num_prompts=75).attach(vision=FakeTower(2, 8), text=FakeText(2, 8))


def test_two_methods_in_the_captions_are_refused_by_name(tiny_clip, build):
    neck = dict(type='CombinedNeck', necks=[NECKS['coop'], NECKS['maple']])
    with pytest.raises(ConfigError, match='CoOp and MaPLe both rewrite the input of the text tower'):
        build(model_config(tiny_clip, neck=neck))


def test_prompts_of_both_towers_and_adapters_go_together(tiny_clip, build):
    necks = [NECKS['coop'], NECKS['deep'], dict(type='CrossModalAdapter', shared_dim=8)]
    model = build(model_config(tiny_clip, neck=dict(type='CombinedNeck', necks=necks)))
    assert model.data_preprocessor.limit == 32 and model.neck.num_text_prompts == 3
    assert model.encode_text(CAPTIONS).pooled.shape == (3, 32)
