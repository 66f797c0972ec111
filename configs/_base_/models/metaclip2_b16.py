# MetaCLIP 2 worldwide, B/16: CLIP's architecture with the multilingual tokenizer of XLM-V; both towers frozen.
_base_ = 'clip_vit-b16.py'
model = dict(
    vision_backbone=dict(pretrained='facebook/metaclip-2-worldwide-b16'),
    text_backbone=dict(pretrained='facebook/metaclip-2-worldwide-b16'))
