"""No part mixes devices: all run on fake tensors of a GPU, which raise where two devices meet, on any machine."""
import copy

import pytest
import torch
from helpers.small_configs import CONFIGS, each
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmcma.config import load_config
from mmcma.models.losses import RetrievalLoss
from mmcma.models.necks import Neck
from mmcma.models.similarities import Similarity
from mmcma.registry import MODELS
from mmcma.structures import RetrievalSample

PATHS = sorted(CONFIGS.glob('*/*_tiny_*.py'))
PLAIN = CONFIGS / 'cma/cma_tiny_glyphmotion.py'


def on_fake_cuda(model, mode: FakeTensorMode):
    """The model as ``to('cuda')`` leaves it: parameters and buffers on the GPU, here fake, and nothing else."""
    with mode:
        moved = {id(p): nn.Parameter(mode.from_tensor(p).detach().to('cuda'), p.requires_grad)
                 for p in model.parameters()}
        moved |= {id(buffer): mode.from_tensor(buffer).to('cuda') for buffer in model.buffers()}
    model = copy.deepcopy(model, moved)
    model._set_device(torch.device('cuda'))
    return model


def batch() -> dict:
    """Of a loader: two clips of eight frames, on the CPU as it gives them."""
    samples = [RetrievalSample(item_id=f'v{index}', item_index=index, captions=['a red star moves'],
                               frame_mask=torch.arange(8) < 8 - index) for index in range(2)]
    return dict(inputs=[torch.zeros(8, 3, 64, 64, dtype=torch.uint8) for _ in samples], data_samples=samples)


def run(config: dict) -> None:
    """Features and scores as in a test, and the loss of training; raises where two devices meet."""
    mode = FakeTensorMode(allow_non_fake_inputs=False)
    model = on_fake_cuda(MODELS.build(config), mode)
    with mode, torch.backends.cudnn.flags(enabled=False):  # cuDNN's LSTM asks a driver for its version
        data = model.eval().data_preprocessor(batch())
        assert all(sample.visual_tokens.device.type == 'cpu' for sample in model(**data, mode='predict'))
        text, visual = model.train()(**data, mode='tensor')
        loss = model.head.loss(text, visual, torch.arange(2, device='cuda'))['loss']
        assert loss.device.type == 'cuda'  # and not backward(), which wants a CUDA driver
        with torch.no_grad():
            assert model.eval().similarity(text, visual).device.type == 'cuda'


@pytest.mark.parametrize('path', each(PATHS))
def test_every_small_config_stays_on_one_device(path):
    run(load_config(path).model)


def test_the_dual_softmax_loss_stays_on_one_device():
    run(load_config(PLAIN, {'model.head.loss': dict(type='DualSoftmaxLoss', _delete_=True)}).model)


def test_the_sigmoid_loss_stays_on_one_device(monkeypatch):
    monkeypatch.setattr(torch.Tensor, 'isnan', lambda tensor: True)  # 'not started yet'; a fake one has no value
    run(load_config(PLAIN, {'model.head.loss': dict(type='SigmoidLoss', _delete_=True)}).model)


def test_no_registered_part_is_left_out():
    parts = {name for name, part in MODELS.module_dict.items() if issubclass(part, (Neck, Similarity, RetrievalLoss))
             and part.__module__.startswith('mmcma.')}
    configs = str([load_config(path).model for path in PATHS])
    assert {name for name in parts if f"'{name}'" not in configs} == {'SigmoidLoss'}


@MODELS.register_module()
class NeckOfTheCPU(Neck):
    """Adds a tensor that it makes on the CPU."""

    def attach(self, *, vision, text) -> None:
        self.rewrite_output(vision.blocks[0], lambda hidden: hidden + torch.zeros(hidden.shape[-1]), 'vision layer 0')


def test_a_part_that_mixes_devices_is_caught():
    config = load_config(PLAIN, {'model.neck': dict(type='NeckOfTheCPU', _delete_=True)}).model
    with pytest.raises(RuntimeError, match='two devices, cuda:0 and cpu'):
        run(config)
