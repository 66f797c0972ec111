# LoRA with CLIP4Clip's transformer over the frames, which starts from CLIP's text layers as the released one does; the
# best that was measured on GlyphMotion of what leaves the backbone frozen.
_base_ = './lora_vit-b32_msrvtt.py'
model = dict(head=dict(similarity=dict(_delete_=True, type='SeqTransformer', init='released')))
