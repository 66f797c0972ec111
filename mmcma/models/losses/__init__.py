from .info_nce import SymmetricInfoNCE

__all__ = ['SymmetricInfoNCE']
