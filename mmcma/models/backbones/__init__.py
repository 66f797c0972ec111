from .hf_tower import HFTextTower, HFTower, HFVisionTower
from .sites import Site
from .tower import Tower

__all__ = ['HFTextTower', 'HFTower', 'HFVisionTower', 'Site', 'Tower']
