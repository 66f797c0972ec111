# Images as clips of one frame, for a 224-px CLIP.
_base_ = 'loaders.py'

data_prefix = dict(ann='', visual='images')
pipeline = [dict(type='LoadImage'), dict(type='ResizeCrop', size=224), dict(type='PackRetrievalInputs')]
