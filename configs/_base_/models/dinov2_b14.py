# DINOv2 B/14 of mmpretrain beside CLIP's text tower, both frozen; a projection into CLIP's space is learned.
_base_ = 'clip_vit-b16.py'
model = dict(
    vision_backbone=dict(
        _delete_=True,
        type='MMPretrainTower',
        backbone=dict(
            type='mmpretrain.VisionTransformer', arch='base', img_size=224, patch_size=14, layer_scale_init_value=1e-5),
        checkpoint='vit-base-p14_dinov2-pre_3rdparty',
        embed_dim=512))
