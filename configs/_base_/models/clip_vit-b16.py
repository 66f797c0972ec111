# CLIP ViT-B/16: both towers frozen, frames weighted by the query. A method adds its neck.
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=32),
    vision_backbone=dict(type='HFVisionTower', pretrained='openai/clip-vit-base-patch16'),
    text_backbone=dict(type='HFTextTower', pretrained='openai/clip-vit-base-patch16'),
    head=dict(
        type='RetrievalHead',
        similarity=dict(type='QueryScore', temperature=5.0),
        loss=dict(type='SymmetricInfoNCE')),
    precision='bf16')
