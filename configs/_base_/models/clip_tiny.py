# The small CLIP of this package, pretrained on images of glyphs (configs/pretrain): both towers frozen.
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', max_words=32),
    vision_backbone=dict(type='HFVisionTower', pretrained='mmcma/clip-tiny-glyphs'),
    text_backbone=dict(type='HFTextTower', pretrained='mmcma/clip-tiny-glyphs'),
    head=dict(
        type='RetrievalHead',
        similarity=dict(type='QueryScore', temperature=5.0),
        loss=dict(type='SymmetricInfoNCE')))
