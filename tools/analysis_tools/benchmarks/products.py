"""The count of operations."""
from typing import Any

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Products(TorchDispatchMode):
    """Counts the floating point operations of products, as PyTorch's ``FlopCounterMode`` does.

    The hooks of that on modules do not take a parameter as their input, which some methods give. Attention runs in
    plain products: PyTorch before 2.15 does not count its fused kernel for CPUs, and the way back of a fused kernel
    computes a product twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self._attention = sdpa_kernel(SDPBackend.MATH)

    def __enter__(self) -> 'Products':
        self._attention.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._attention.__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        count = flop_registry.get(function._overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=result)
        return result
