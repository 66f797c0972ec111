# LSMDC 2016: 101,079 sentences to train, 7,408 clips to choose the checkpoint, 1,000 to test.
#
# Expected under data_root: LSMDC16_annos_training.csv, LSMDC16_annos_val.csv,
# LSMDC16_challenge_1000_publictect.csv and the folder videos/, in it one folder per movie.
#
# A child config changes the clip or the size in one place, the pipeline:
#     pipeline = _base_.pipeline
#     pipeline[0].update(num_frames=32)
#     pipeline[1].update(size=336)
_base_ = '../videos.py'

data_root = 'data/lsmdc'
source = dict(type='LSMDC', data_root=data_root, data_prefix=_base_.data_prefix)
train_dataloader = dict(dataset=dict(split='train', **source))
val_dataloader = dict(dataset=dict(split='val', test_mode=True, **source))
test_dataloader = dict(dataset=dict(split='test', test_mode=True, **source))
