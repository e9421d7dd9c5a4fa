"""NNI's config lists in the dialects of 2.10 and 3.0."""

from __future__ import annotations

import json
from collections.abc import Iterator

from analysis import plans
from analysis.edits import PreparedSubject
from analysis.files import write_text
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.request import Exported, ExportRequest
from analysis.records import PlanEntry
from pruners.errors import InputError, UnsupportedError

TYPES = ("Conv1d", "Conv2d", "Linear")


def export_nni(request: ExportRequest) -> Exported:
    """Write ``config_list_v2.json``, ``config_list_v3.json`` and what each layer keeps.

    Raises:
        UnsupportedError: An entry that NNI's ratios by layer cannot say.
        InputError: The plan prunes nothing.
    """
    prepared = request.prepared
    entries = plans.pruned_entries(plans.resolve(prepared, request.chosen))
    if not entries:
        raise InputError("the plan prunes nothing, so there is nothing to configure")
    older: list[dict[str, object]] = []
    newer: list[dict[str, object]] = []
    facts: dict[str, dict[str, object]] = {}
    for number, entry in enumerate(entries):
        layers = list(_layers(prepared, entry))
        for layer in layers:
            if layer in facts:
                raise UnsupportedError(
                    f"{layer} is pruned by two entries, of which NNI takes one; keep one of them"
                )
            kind = type(prepared.model.get_submodule(layer)).__name__
            # NNI rounds down: half a unit more gives the count exactly, however it computes.
            ratio = (entry.total - entry.kept + 0.5) / entry.total
            where = {"op_names": [layer], "op_types": [kind]}
            older.append({**where, "sparsity_per_layer": ratio})
            newer.append({**where, "sparse_ratio": ratio, **_newer(entry, number, layers)})
            facts[layer] = {
                "granularity": entry.granularity,
                "kept": entry.kept,
                "total": entry.total,
                "indices": entry.indices,
            }
    folder = request.directory
    files = tuple(
        (write_text(folder / name, json.dumps(content, indent=1) + "\n"), about)
        for name, content, about in (
            ("config_list_v2.json", older, "for L1NormPruner and LevelPruner of NNI 2.10"),
            ("config_list_v3.json", newer, "the same for NNI 3.0"),
            ("nni.json", facts, "what each layer keeps, with indices"),
        )
    )
    notes = (
        "NNI chooses the channels itself; batch norms are not masked unless a list says so",
        *model_notes(request),
    )
    return Exported(files=files, notes=notes)


def _newer(entry: PlanEntry, number: int, layers: list[str]) -> dict[str, object]:
    if entry.granularity == "element":
        return {}
    coupled = {"dependency_group_id": f"g{number}"} if len(layers) > 1 else {}
    return {"granularity": "out_channel", **coupled}


def _layers(prepared: PreparedSubject, entry: PlanEntry) -> Iterator[str]:
    """Yield the layers that NNI gets a ratio for."""
    if entry.granularity not in ("channel", "element"):
        raise UnsupportedError(
            f"NNI's config list has ratios of channels and of single weights; {entry.layer} is "
            f"pruned by {entry.granularity}: export masks"
        )
    if entry.group is None:
        layers, whole = [entry.layer], True
    else:
        producers = prepared.group(entry.group).producers
        layers = list(dict.fromkeys(member.layer for member in producers))
        whole = all(
            bool((member.index >= 0).all()) and len(member.index) == entry.total
            for member in producers
        )
    for layer in layers:
        kind = type(prepared.model.get_submodule(layer)).__name__
        if not whole or kind not in TYPES:
            reason = (
                f"it is of type {kind}" if whole else "a part of its outputs is of another group"
            )
            raise UnsupportedError(
                f"NNI has one ratio for all outputs of a layer, which cannot say {entry.name} at "
                f"{layer}: {reason}; leave it whole, or export masks"
            )
        yield layer
