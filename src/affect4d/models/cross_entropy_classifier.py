"""The cross-entropy baseline: the same image encoder and view fusion under a linear head."""

from jaxtyping import Float
from torch import Tensor, nn

from affect4d.models.encoders import JointEmbedding, ViewEncoder, build_encoders
from affect4d.models.options import ModelOptions
from affect4d.tensor_types import Presence, ViewImages


class ViewClassifier(nn.Module):
    """Image encoder, view fusion of its hidden states, linear head."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        encoders = build_encoders(options.encoder, options.channels)
        width = encoders.image_width
        self.options = options.model_copy(update={"encoder": encoders.options})
        self.image = ViewEncoder(
            encoders,
            nn.Identity(),
            fusion=options.fusion,
            views=options.views,
            channels=options.channels,
            dim=width,
        )
        self.head = nn.Linear(width, options.classes)

    def embed_views(self, images: ViewImages, present: Presence | None = None) -> JointEmbedding:
        """Embed samples; the joint space is that of the hidden states."""
        embedding: JointEmbedding = self.image(images, present)
        return embedding

    def classify(self, images: ViewImages, present: Presence | None = None) -> Float[Tensor, "batch classes"]:
        """Class scores before the softmax, [batch, classes]."""
        hidden = self.image.hidden(images, present)
        scores: Tensor = self.head(self.image.fusion(hidden, present))
        return scores
