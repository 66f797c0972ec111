from .hf_tower import HFTextTower, HFTower, HFVisionTower
from .mmpretrain_tower import MMPretrainTower
from .sites import Site
from .tower import Tower

__all__ = ['HFTextTower', 'HFTower', 'HFVisionTower', 'MMPretrainTower', 'Site', 'Tower']
