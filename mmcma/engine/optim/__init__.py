from .trained_optim_wrapper_constructor import TrainedOptimWrapperConstructor

__all__ = ['TrainedOptimWrapperConstructor']
