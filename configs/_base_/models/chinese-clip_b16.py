# Chinese-CLIP B/16 with a RoBERTa text tower, both frozen. It was trained on captions of up to 52 tokens.
_base_ = 'clip_vit-b16.py'
model = dict(
    data_preprocessor=dict(max_words=52),
    vision_backbone=dict(pretrained='OFA-Sys/chinese-clip-vit-base-patch16'),
    text_backbone=dict(pretrained='OFA-Sys/chinese-clip-vit-base-patch16'))
