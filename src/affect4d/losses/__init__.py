"""The papers' loss terms as pure functions of embeddings: no weights, no state, no model in sight.

Every function returns a scalar of order 1 whatever the batch size and the width (but for the published Barlow Twins,
which grows with the width), is finite for degenerate batches (one
class, one sample of a class, identical embeddings), and refuses what has no meaning (statistics of a batch of one).

* :mod:`~affect4d.losses.alignment`: image–text contrast where several prompts may fit one face.
* :mod:`~affect4d.losses.affect`: AffectVLM's pair and triplet terms with a learnable margin.
* :mod:`~affect4d.losses.decorrelation`: SMILE-VLM's multiview decorrelation (Barlow Twins over view pairs).
* :mod:`~affect4d.losses.redundancy`: SMILE-VLM's cross-modal redundancy.
* :mod:`~affect4d.losses.simclr`: a peer without language: the views of one sample against all others.

Batch statistics are those of the tensors handed in: under several processes, gather the global batch first.
"""
