"""The shapes a model speaks, as named axes of torch tensors; imports nothing of ours."""

from jaxtyping import Bool, Float, Int64
from torch import Tensor

ViewImages = Float[Tensor, "batch views channels height width"]
ViewEmbeddings = Float[Tensor, "batch views dim"]
Embeddings = Float[Tensor, "batch dim"]
TextEmbeddings = Float[Tensor, "prompts dim"]
Tokens = Int64[Tensor, "prompts context"]
SentenceVectors = Float[Tensor, "prompts width"]
TextInputs = Tokens | SentenceVectors
Labels = Int64[Tensor, "batch"]
Presence = Bool[Tensor, "batch views"]
Scalar = Float[Tensor, ""]
