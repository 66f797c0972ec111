from .hf_tower import HFTextTower, HFTower, HFVisionTower
from .sites import Site

__all__ = ['HFTextTower', 'HFTower', 'HFVisionTower', 'Site']
