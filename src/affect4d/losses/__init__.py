"""The papers' loss terms as pure functions of embeddings, without weights, state or model.

Every loss is a scalar of order 1 whatever the batch size and the width (but for the published Barlow Twins, which grows
with the width), is finite for degenerate batches (one class, one sample of a class, identical embeddings), and refuses
statistics of a batch of one. Batch statistics are those of the given tensors: under several processes, gather first.
"""
