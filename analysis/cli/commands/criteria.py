"""``prunescope criteria``: what can be chosen, in plain words."""

from __future__ import annotations

from analysis.cli.options import CriterionFiles, Json
from analysis.cli.output import print_json, print_table


def criteria(criterion_file: CriterionFiles = None, as_json: Json = False) -> None:
    """List all criteria: score, what they can score, what they need."""
    from pruners.criteria import CRITERIA, load_criterion_file

    for path in criterion_file or ():
        load_criterion_file(path)
    entries = list(CRITERIA)
    if as_json:
        print_json(
            {
                "criteria": [
                    {
                        "name": item.name,
                        "label": item.label,
                        "formula": item.formula,
                        "help": item.help,
                        "caution": item.caution,
                        "citation": item.citation,
                        "needs": sorted(item.needs),
                        "granularities": sorted(item.granularities),
                        "layer_types": sorted(item.layer_types),
                        "cost": item.cost,
                    }
                    for item in entries
                ]
            }
        )
        return
    print_table(
        "Criteria",
        ("name", "label", "scores", "cost", "what it does"),
        [
            (item.name, item.label, ", ".join(sorted(item.granularities)), item.cost, item.help)
            for item in entries
        ],
    )
