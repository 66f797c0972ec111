"""How a neck rewrites what a tower computes, is switched off, and shares the towers with another neck."""
import copy
from functools import partial

import pytest
import torch
from conftest import model_config
from fake_tower import FakeTower
from torch import nn

from mmcma.models import CombinedNeck, Neck
from mmcma.utils.errors import ConfigError


class Plus(Neck):
    """Adds learned numbers at the three kinds of places of the first vision layer."""

    def attach(self, *, vision, text):
        self.value = nn.Parameter(torch.ones(()))
        site = vision.sites[0]
        self.rewrite_input(vision.blocks[0], self.add, 'vision layer 0')
        self.rewrite_output(site.module, partial(self.add, times=10), f'vision {site}')
        self.rewrite_branch(vision.sites[1].module, self.branch, f'vision {vision.sites[1]}')

    def add(self, hidden, times=1):
        return hidden + times * self.value

    def branch(self, entered, left):
        return left + 100 * entered


def test_every_kind_of_place_by_hand():
    """x + 1 -> a = x + 1; a += a + 10 -> 2a + 10 = b; b += b + 100 b."""
    neck, tower = Plus(), FakeTower(1, 3)
    neck.attach(vision=tower, text=FakeTower(1, 3))
    x = torch.zeros(1, 2, 3)
    assert (tower(x) == 102 * 12).all()
    assert (tower.layers[0](hidden=x) == 102 * 12).all()  # named arguments too
    with neck.disabled():
        assert (tower(x) == 0).all() and not neck.enabled
    assert neck.enabled


def test_a_copy_has_hooks_of_its_own():
    """As mmengine's EMA makes one: changing the copy's weight leaves the original alone."""
    pair = nn.ModuleList([Plus(), FakeTower(1, 3)])
    pair[0].attach(vision=pair[1], text=FakeTower(1, 3))
    twin = copy.deepcopy(pair)
    nn.init.constant_(twin[0].value, 2.0)
    assert (twin[1](torch.zeros(1, 1, 3)) == 102 * 24).all()
    assert (pair[1](torch.zeros(1, 1, 3)) == 102 * 12).all()


def test_two_methods_on_one_site_are_refused_by_name(tiny_clip, build):
    neck = dict(type='CombinedNeck', necks=[dict(type='CrossModalAdapter'), dict(type='CrossModalAdapter')])
    with pytest.raises(ConfigError, match='CrossModalAdapter and CrossModalAdapter both rewrite the output of '
                                          'vision layer 0 attn; keep one'):
        build(model_config(tiny_clip, neck=neck))


def test_combining_nothing_is_refused():
    with pytest.raises(ConfigError, match=r'CombinedNeck.necks=\[\]'):
        CombinedNeck(necks=[])
