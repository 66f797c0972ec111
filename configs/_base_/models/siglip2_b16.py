# SigLIP 2 B/16 of fixed resolution: as SigLIP, with the multilingual tokenizer of Gemma.
_base_ = 'siglip_b16.py'
model = dict(
    vision_backbone=dict(pretrained='google/siglip2-base-patch16-224'),
    text_backbone=dict(pretrained='google/siglip2-base-patch16-224'))
