# LoRA with CLIP4Clip's transformer over the frames: a combination of no paper.
_base_ = './lora_tiny_glyphmotion.py'
model = dict(head=dict(similarity=dict(_delete_=True, type='SeqTransformer')))
