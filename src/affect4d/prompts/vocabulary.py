"""Words for an expression, and FACS phrases for an action unit. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass

from affect4d.scans.expression import EXPRESSIONS


@dataclass(frozen=True)
class Vocabulary:
    """Words for one expression, by their place in a sentence."""

    adjectives: tuple[str, ...]  # "an angry face"
    nouns: tuple[str, ...]  # "a face full of anger"; the first is the expression's own name
    actions: tuple[str, ...]  # "a person scowling"

    @property
    def words(self) -> tuple[str, ...]:
        """All words."""
        return (*self.adjectives, *self.nouns, *self.actions)


VOCABULARY: Mapping[str, Vocabulary] = {
    "anger": Vocabulary(
        ("angry", "furious", "irritated", "enraged", "hostile", "annoyed"),
        ("anger", "rage", "fury", "irritation"),
        ("scowling", "glaring angrily", "frowning in anger"),
    ),
    "disgust": Vocabulary(
        ("disgusted", "repulsed", "revolted", "sickened", "nauseated", "grossed-out"),
        ("disgust", "revulsion", "repulsion", "aversion"),
        ("wrinkling the nose", "grimacing in disgust", "recoiling from a bad smell"),
    ),
    "fear": Vocabulary(
        ("fearful", "afraid", "scared", "frightened", "terrified", "anxious"),
        ("fear", "fright", "terror", "dread"),
        ("cowering", "staring in fear", "shrinking back in fright"),
    ),
    "happiness": Vocabulary(
        ("happy", "joyful", "cheerful", "delighted", "pleased", "glad"),
        ("happiness", "joy", "delight", "amusement"),
        ("smiling", "grinning", "laughing with joy"),
    ),
    "sadness": Vocabulary(
        ("sad", "sorrowful", "unhappy", "dejected", "gloomy", "downcast"),
        ("sadness", "sorrow", "grief", "misery"),
        ("pouting sadly", "close to tears", "grieving"),
    ),
    "surprise": Vocabulary(
        ("surprised", "astonished", "amazed", "startled", "stunned", "astounded"),
        ("surprise", "astonishment", "amazement", "wonder"),
        ("gasping", "gaping in surprise", "staring in amazement"),
    ),
}
"""Every expression of ``EXPRESSIONS``, with at least eight words each, no word twice."""

GENDER_WORDS: Mapping[str, tuple[str, ...]] = {
    "f": ("female", "woman"),
    "female": ("female", "woman"),
    "m": ("male", "man"),
    "male": ("male", "man"),
}
"""Spelling in a corpus, in lower case → the words a prompt may use."""

YOUNG, MIDDLE_AGED, OLDER = "young", "middle-aged", "older"
AGE_WORDS: tuple[str, ...] = (YOUNG, MIDDLE_AGED, OLDER)

ACTION_UNIT_PHRASES: Mapping[str, tuple[str, ...]] = {
    "AU1": ("inner brows raised", "inner corners of the brows pulled up"),
    "AU2": ("outer brows raised", "arched outer brows"),
    "AU1+2": ("brows raised", "eyebrows lifted high"),
    "AU4": ("brows lowered and drawn together", "a knitted brow"),
    "AU5": ("upper lids raised", "eyes opened wide"),
    "AU6": ("cheeks raised", "lifted cheeks"),
    "AU7": ("lids tightened", "narrowed eyes"),
    "AU9": ("nose wrinkled", "a wrinkled nose"),
    "AU10": ("upper lip raised", "a lifted upper lip"),
    "AU12": ("lip corners pulled up", "mouth corners drawn up and back"),
    "AU15": ("lip corners pulled down", "mouth corners turned down"),
    "AU16": ("lower lip pulled down", "a lowered lower lip"),
    "AU17": ("chin raised", "lower lip pushed up"),
    "AU18": ("lips puckered", "a narrowed, rounded mouth"),
    "AU20": ("lips stretched sideways", "a horizontally stretched mouth"),
    "AU24": ("lips pressed together", "tight, thin lips"),
    "AU25": ("lips parted", "parted lips"),
    "AU26": ("jaw dropped", "an open mouth"),
}
"""Action unit → phrases, after the wording of the Facial Action Coding System (Ekman, Friesen and Hager 2002)."""


def vocabulary_of(expression: str) -> Vocabulary:
    """The words for one expression.

    Raises:
        ValueError: If it is none of ``EXPRESSIONS``.
    """
    if expression not in VOCABULARY:
        raise ValueError(f"No words for the expression {expression!r}; known: {', '.join(EXPRESSIONS)}.")
    return VOCABULARY[expression]


def gender_words(gender: object) -> tuple[str, ...]:
    """Words for a gender *as given* by the corpus (``"F"``, ``"male"``); none for any other value."""
    return GENDER_WORDS.get(str(gender).strip().lower(), ())


def age_words(age_group: object) -> tuple[str, ...]:
    """Word for an age group *as given*: a range of years (``"18-30"``), its own word, or nothing.

    >>> age_words("18-30"), age_words("51-70"), age_words("older"), age_words(None)
    (('young',), ('older',), ('older',), ())
    """
    text = str(age_group).strip().lower()
    years = [int(part) for part in text.replace("+", "-").split("-") if part.isdigit()]
    if years:
        return (_age_word(sum(years) / len(years)),)
    return (text,) if text in AGE_WORDS else ()


def _age_word(years: float) -> str:
    if years < 35:
        return YOUNG
    return MIDDLE_AGED if years < 52 else OLDER
