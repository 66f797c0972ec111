# The last 16 input channels of the down-projection are shared, in place of output channels of the up-projection.
_base_ = 'cma_tiny_glyphmotion.py'
model = dict(neck=dict(share='down'))
