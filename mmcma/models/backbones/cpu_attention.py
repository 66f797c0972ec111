"""transformers' ``sdpa``, with plain products where PyTorch's fused kernel is slow: in bf16 trainings on CPUs."""
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.models.clip.modeling_clip import eager_attention_forward

#: What transformers is told to attend by in the place of ``'sdpa'``.
SDPA = 'sdpa_or_plain'
#: Keys from which on the fused kernel is as fast, its way back included: measured with 50, 65, 122 and 197.
LONG = 150


def _attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None,
            **options) -> tuple[Tensor, Tensor | None]:
    """Attention of heads ``(N, H, L, d)``, as ``(N, L, H, d)``, with the arguments of transformers' ``sdpa``.

    Going back, the fused kernel takes three times as long in bf16 as in float32 on a CPU. Going forward it is the
    fastest, so that frozen layers in which no gradient arises keep it.
    """
    trains = torch.is_grad_enabled() and any(of.requires_grad for of in (query, key, value))
    if not trains or query.device.type != 'cpu' or query.dtype != torch.bfloat16 or key.shape[2] >= LONG:
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    causal = options.pop('is_causal', None)
    if mask is None and (getattr(module, 'is_causal', True) if causal is None else causal):
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, torch.finfo(query.dtype).min)
    return eager_attention_forward(module, query, key, value, mask, **options)


AttentionInterface.register(SDPA, _attend)
AttentionMaskInterface.register(SDPA, sdpa_mask)
