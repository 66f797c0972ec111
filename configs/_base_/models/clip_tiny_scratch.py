# A small CLIP with random weights, all of it trained: 64 px, patches of 16, 2.9 M parameters.
backbone = dict(
    model_type='clip',
    projection_dim=128,
    vision_config=dict(
        image_size=64, patch_size=16, hidden_size=192, intermediate_size=768, num_hidden_layers=4,
        num_attention_heads=3),
    text_config=dict(
        vocab_size=1369, max_position_embeddings=64, hidden_size=128, intermediate_size=512, num_hidden_layers=4,
        num_attention_heads=2, bos_token_id=1367, eos_token_id=1368, pad_token_id=1368))
model = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor'),
    vision_backbone=dict(type='HFVisionTower', config=backbone, trainable=True),
    text_backbone=dict(
        type='HFTextTower', config=backbone, tokenizer='mmcma/clip-tiny-glyphs', trainable=True),
    head=dict(
        type='RetrievalHead',
        similarity=dict(type='MeanPool'),
        loss=dict(type='SymmetricInfoNCE'),
        train_logit_scale=True))
