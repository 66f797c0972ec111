# SigLIP B/16: both towers frozen. Its captions are always padded to 64 tokens, so there is no max_words. Its images
# were squeezed to a square in pretraining; ours are cut to one, as for CLIP. The tokenizer needs sentencepiece.
_base_ = 'clip_vit-b16.py'
model = dict(
    data_preprocessor=dict(max_words=None),
    vision_backbone=dict(pretrained='google/siglip-base-patch16-224'),
    text_backbone=dict(pretrained='google/siglip-base-patch16-224'))
