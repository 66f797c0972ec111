# The Cross-Modal Adapter after the branches, ST-Adapter over time before each vision layer, and CLIP4Clip's transformer
# over the frames: a combination of no paper.
_base_ = './cma_tiny_glyphmotion_seq-transformer.py'
model = dict(neck=dict(
    _delete_=True, type='CombinedNeck', necks=[
        dict(type='CrossModalAdapter', bottleneck_dim=8, shared_dim=16),
        dict(type='STAdapter', bottleneck_dim=24)]))
