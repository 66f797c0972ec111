from .cross_modal_adapter import CrossModalAdapter

__all__ = ['CrossModalAdapter']
