from affect4d.experiments.claims import CLAIMS
from affect4d.experiments.side_by_side import NO_ANSWER, Answered, side_by_side


def answer(day, *verdicts):
    return {"day": day, "claims": [{"number": number, "verdict": word} for number, word in enumerate(verdicts, 1)]}


def test_every_claim_has_a_row_and_every_corpus_a_column():
    found = side_by_side({"b": answer("2026-01-02", "holds", "undecided"), "a": answer("2026-01-01", "does not hold")})
    assert found.corpora == (Answered("a", "2026-01-01"), Answered("b", "2026-01-02"))
    assert [number for number, _, _ in found.rows] == [claim.number for claim in CLAIMS]
    assert found.rows[0][2] == ("does not hold", "holds")
    assert found.rows[1][2] == (NO_ANSWER, "undecided")


def test_where_nobody_answered_there_are_no_columns():
    found = side_by_side({})
    assert found.corpora == ()
    assert {verdicts for _, _, verdicts in found.rows} == {()}
