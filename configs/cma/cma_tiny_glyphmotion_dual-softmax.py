# CAMoE's dual softmax in the loss; all else is equal.
_base_ = './cma_tiny_glyphmotion.py'
model = dict(head=dict(loss=dict(_delete_=True, type='DualSoftmaxLoss')))
