# CLIP4Clip's cross encoder of text and frames in place of QueryScore; all else is equal. One layer for their four:
# every pair of a text and a clip goes through all of them.
_base_ = './cma_tiny_glyphmotion.py'
model = dict(head=dict(similarity=dict(_delete_=True, type='TightTransformer', num_layers=1)))
