# CLIP4Clip's LSTM over the frames in place of QueryScore; all else is equal.
_base_ = './cma_tiny_glyphmotion.py'
model = dict(head=dict(similarity=dict(_delete_=True, type='SeqLSTM')))
