"""Write the tables of claims into README and docs/results.md: ``python scripts/write_claims.py [CLAIMS.json …]``.

The figures come from ``docs/claims``, one file a corpus and number of training subjects. Files named on the command
line, as ``kedro run --pipeline=claims`` leaves them in ``data/08_reporting/evidence/CORPUS``, are copied there first.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affect4d.experiments.claims import CLAIMS, claims_by_corpus, corpus_and_scale
from affect4d.experiments.variant_comparison_and_provenance import EQUIVALENCE_MARGIN
from affect4d.reporting.pages import templates

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/claims"
BEGIN, END = "<!-- claims, written by scripts/write_claims.py -->", "<!-- end of claims -->"
HEADINGS = {
    "supported": "Supported",
    "refuted": "Refuted",
    "equivalent": f"Not confirmed, a gain that it needs is below {100 * EQUIVALENCE_MARGIN:g} points",
    "inconclusive": "Undecided",
    "not measured": "Not tested in this way",
}
"""The README's words for each verdict, in the order of its list."""
STATEMENTS = {claim.number: claim.statement for claim in CLAIMS}
Answer = Mapping[str, Any]


def main(files: Sequence[str]) -> None:
    """Copy the files, and write both pages."""
    FOLDER.mkdir(exist_ok=True)
    for file in files:
        answer = json.loads(Path(file).read_text(encoding="utf-8"))
        name = f"{answer['corpus']}-{answer['training_subjects'] or 'all'}.json"
        (FOLDER / name).write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    for page, text in pages(stored_answers()).items():
        page.write_text(text, encoding="utf-8")


def stored_answers() -> list[Answer]:
    """The claims documents in ``docs/claims``."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))]


def pages(answers: Sequence[Answer]) -> dict[Path, str]:
    """README and results page with the tables of these answers."""
    blocks = {ROOT / "README.md": summary(answers), ROOT / "docs/results.md": tables(answers)}
    return {page: replaced(page.read_text(encoding="utf-8"), block) for page, block in blocks.items()}


def replaced(page: str, block: str) -> str:
    """The page with another block between the marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{block}\n{rest[rest.index(END) :]}"


def summary(answers: Sequence[Answer]) -> str:
    """The claims by their verdict, a list for each corpus and number of training subjects."""
    parts = []
    for answer in answers:
        stated: dict[str, list[str]] = {}
        for row in answer["claims"]:
            stated.setdefault(row["verdict"], []).append(STATEMENTS[row["number"]])
        verdicts = sorted(stated, key=list(HEADINGS).index)
        lines = [f"- *{HEADINGS[verdict]}*: {'; '.join(stated[verdict])}" for verdict in verdicts]
        parts.append("\n".join([f"On {corpus_and_scale(answer)}:", "", *lines]))
    return "\n\n".join(parts)


def tables(answers: Sequence[Answer]) -> str:
    """Verdicts by corpus and scale, then every finding."""
    found = claims_by_corpus(answers)
    head = ["", "claim", *(f"{name}, {day}" for name, day in found.corpora)]
    rows = [[str(number), statement, *map(emphasised, verdicts)] for number, statement, verdicts in found.rows]
    return "\n\n".join([table(head, rows), *(findings(answer) for answer in answers)])


def findings(answer: Answer) -> str:
    """Every finding on one corpus at one scale."""
    head = ["", "claimed better", "than", "accuracy, %", "difference, points", "95 % interval", "p", "verdict"]
    rows = [
        [str(row["number"]), one["first"], one["second"], *measured(one, verdict), verdict]
        for row in answer["claims"]
        for one, verdict in zip(row["findings"], row["verdicts"], strict=True)
    ]
    sources = {
        (one["seeds"], one["subjects"]) for row in answer["claims"] for one in row["findings"] if one["seeds"] > 1
    }
    crossed = "; ".join(f"{seeds} seeds crossed with {subjects} test subjects" for seeds, subjects in sorted(sources))
    commit = f", commit {answer['commit'][:7]}{answer['commit'][40:]}" if answer.get("commit") else ""
    return f"On {corpus_and_scale(answer)}: {crossed}; {answer['day']}{commit}:\n\n{table(head, rows)}"


def measured(finding: Mapping[str, Any], verdict: str) -> list[str]:
    """Values, difference, interval and p of a finding; of a refuted one, a one-sided p is that of the opposite."""
    unit, (figure, difference) = finding["unit"], (templates().filters[name] for name in ("figure", "difference"))
    values = " · ".join(figure(value, unit) for value in finding["values"])
    values += "" if unit == "accuracy" else f" {unit}"
    shown = [difference(value, unit) for value in (finding["difference"], *(finding["interval"] or (None, None)))]
    refuted = verdict == "refuted" and finding["p_worse"] is not None
    p = finding["p_worse"] if refuted else finding["p"]
    p = "<0.001" if p < 0.001 else f"{p:.3f}"
    return [values, shown[0], f"{shown[1]} … {shown[2]}" if finding["interval"] else "–", p]


def emphasised(verdict: str) -> str:
    """A verdict that decides, in bold."""
    return f"**{verdict}**" if verdict in ("supported", "refuted", "equivalent") else verdict


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    main(sys.argv[1:])
