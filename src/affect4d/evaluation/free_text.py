"""Sentences nobody composed from a template: what people say of a face, without the word for the expression.

Data, and nothing that trains reads it. A model that learnt language about faces should find its way among them; one
that learnt six labels in disguise cannot. [ours]
"""

from collections.abc import Mapping
from types import MappingProxyType

FREE_TEXT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "anger": (
            "the brows are pulled low and squeezed together over a hard stare",
            "lips pressed tight, glowering at somebody",
            "jaw clenched, eyes narrowed, ready to shout",
            "frowning hard with tight lips",
        ),
        "disgust": (
            "the nose is wrinkled and the upper lip curls up",
            "looks as if something smells rotten",
            "nose scrunched, mouth pulled down, about to say yuck",
            "the upper lip is lifted and the nose is wrinkled at bad food",
        ),
        "fear": (
            "brows raised and drawn together, eyes wide, lips stretched back",
            "as if a spider had dropped onto the table",
            "eyes opened wide and the mouth stretched sideways",
            "worried brows, wide eyes, mouth pulled tight to both sides",
        ),
        "happiness": (
            "the corners of the mouth go up and the cheeks are lifted",
            "a big grin from ear to ear",
            "cheeks raised, teeth showing, eyes crinkling",
            "has just heard wonderful news and beams",
        ),
        "sadness": (
            "the corners of the mouth are turned down and the inner brows go up",
            "looks about to cry",
            "drooping mouth, inner brows pulled up, chin trembling",
            "a long face after bad news",
        ),
        "surprise": (
            "brows lifted high, eyes wide, jaw dropped",
            "mouth hanging open, eyebrows up",
            "did not see that coming",
            "the jaw has dropped and both brows are raised",
        ),
    }
)
"""Expression → sentences, in the order of ``EXPRESSIONS``."""
