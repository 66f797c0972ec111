"""A model on disk: whose backbone it is, what was trained, and everything that a model can be made from."""
