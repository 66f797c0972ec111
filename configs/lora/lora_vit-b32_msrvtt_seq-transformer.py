# LoRA with CLIP4Clip's transformer over the frames: of what leaves the backbone frozen the best on GlyphMotion.
_base_ = './lora_vit-b32_msrvtt.py'
model = dict(head=dict(similarity=dict(_delete_=True, type='SeqTransformer')))
