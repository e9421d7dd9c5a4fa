"""Recipes of other tools, read back: the tool's own rounding gives the plan's counts.

References: the rounding of each tool as its source has it, slow, on ranks. The tools themselves run
in `make verify-exports`.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import runpy
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from analysis import interop, plans
from analysis.interop.formats.recipes import llm_compressor
from analysis.interop.formats.recipes.counts import quarter_step
from analysis.interop.masked import masks
from analysis.interop.verification import harness
from analysis.interop.verification.reference import write_reference
from analysis.interop.verification.verifier import SCRIPTS
from analysis.records.plan import PlanEntry
from pruners.errors import InputError, UnsupportedError
from tests.analysis.interop.test_export import request
from tests.helpers.contexts import sample_context
from tests.helpers.plans import at_ratio

RATIOS = {"conv1": 0.37, "conv2": 0.5, "fc1": 0.903}


def elements(folder: Path, ratios: Mapping[str, float] = RATIOS) -> interop.ExportRequest:
    plan = plans.start_plan(sample_context("lenet5"), criterion="l1", granularity="element")
    for name, ratio in ratios.items():
        plan = at_ratio(plan, [name], ratio)
    return request(folder, plan=plan)


def kept_by(asked: interop.ExportRequest) -> dict[str, int]:
    return {entry.layer: entry.kept for entry in plans.pruned_entries(asked.plan)}


def read_yaml(path: Path) -> Any:
    yaml = importlib.import_module("yaml")
    tags: Any = type("Tags", (yaml.SafeLoader,), {})

    def tagged(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
        return {"kind": suffix, **loader.construct_mapping(node, deep=True)}

    tags.add_multi_constructor("!", tagged)
    return yaml.load(path.read_text(), tags)


def weight(name: str) -> Tensor:
    return sample_context("lenet5").model.get_submodule(name).get_parameter("weight")


def test_sparseml_rounds_to_the_counts_and_holds_the_zeros(tmp_path: Path) -> None:
    """Reference: its mask creator prunes round(weights * sparsity) of a tensor."""
    asked = elements(tmp_path)
    interop.export("sparseml", asked)
    recipe = read_yaml(tmp_path / "recipe_sparseml.yaml")["modifiers"]
    found = {}
    for item in recipe:
        assert item["kind"] == "GMPruningModifier"
        assert item["init_sparsity"] == item["final_sparsity"]
        (name,) = item["params"]
        total = weight(name.removesuffix(".weight")).numel()
        found[name] = total - round(total * Fraction(item["final_sparsity"]))
    assert found == {f"{name}.weight": kept for name, kept in kept_by(asked).items()}
    (held,) = read_yaml(tmp_path / "recipe_sparseml_constant.yaml")["modifiers"]
    assert held["params"] == list(found)
    state = safetensors.torch.load_file(tmp_path / "recipe_sparseml.safetensors")
    for name, mask in masks(asked).items():
        assert ((state[name] != 0) == mask).all()
    text = (tmp_path / "recipe_sparseml.yaml").read_text()
    assert "SparseML 1.8.0" in text
    assert re.search(rf"# fc1 +{found['fc1.weight']} ", text)


def test_llm_compressor_prunes_what_its_table_says(tmp_path: Path) -> None:
    """Reference: SparseGPT prunes all up to rank int(n * sparsity), in blocks of 128 columns.

    Convolutions were written, on which llm-compressor 0.14.0.1 fails: its
    Hessian has a column an input channel.
    """
    with pytest.raises(UnsupportedError, match=r"conv1 is a Conv2d of 5x5 in 1 group: leave it"):
        interop.export("llm-compressor", elements(tmp_path))
    asked = elements(tmp_path, {"fc1": 0.903, "fc2": 0.37, "fc3": 0.5})
    done = interop.export("llm-compressor", asked)
    path = tmp_path / "recipe_llm_compressor.yaml"
    groups = read_yaml(path)["pruning_stage"]
    found = {}
    for group in groups.values():
        item = group["SparseGPTModifier"]
        (name,) = item["targets"]
        matrix = weight(name).flatten(1)
        found[name] = matrix.numel()
        for start in range(0, matrix.shape[1], 128):
            ranks = range(matrix[:, start : start + 128].numel())
            found[name] -= sum(rank <= int(len(ranks) * item["sparsity"]) for rank in ranks)
    text = path.read_text()
    for name, kept in kept_by(asked).items():
        blocks = -(-weight(name).flatten(1).shape[1] // 128)
        assert abs(found[name] - kept) < blocks
        assert re.search(rf"# {name} +{kept} +{weight(name).numel()} +{found[name]} ", text)
        said = any(note.startswith(f"{name}: {found[name]} weights stay") for note in done.notes)
        assert said == (found[name] != kept)
    assert found["fc2"] == kept_by(asked)["fc2"]


def test_a_verifier_counts_what_a_recipe_leaves(tmp_path: Path) -> None:
    """Counts asked and got: one weight too many fails; names with and without .weight."""
    asked = elements(tmp_path / "out")
    for tool, file in {
        "sparseml": "recipe_sparseml.yaml",
        "neural-compressor": "recipe_neural_compressor.py",
    }.items():
        interop.export(tool, asked)
        (tmp_path / tool).mkdir()
        write_reference(asked, tmp_path / tool)
        case = harness.Case(tmp_path / "out", tmp_path / tool)
        model = case.model("full")
        for name, mask in masks(asked).items():
            model.get_parameter(name).mul_(mask)
        assert case.kept(model, file)["passed"]
        assert case.kept(model, file)["compared"] == len(RATIOS)
        first = int(masks(asked)["fc1.weight"].flatten().nonzero()[0])
        model.get_parameter("fc1.weight").view(-1)[first] = 0.0
        text = case.kept(model, file)["text"]
        assert f"{kept_by(asked)['fc1'] - 1}, asked for {kept_by(asked)['fc1']}" in text


def test_single_blocks_and_equal_blocks_of_llm_compressor_are_exact() -> None:
    """Every count of one block, and all that equal blocks share evenly."""
    entry = PlanEntry(
        layer="a", group=None, criterion="l1", granularity="element", ratio=0, kept=1, total=96
    )
    for rows, step, total in ((2, 1, 96), (1, 3, 384)):
        for kept in range(step, total, step):
            asked = dataclasses.replace(entry, kept=kept, total=total)
            assert llm_compressor._ask(asked, rows).got == kept
            ask = quarter_step(asked)
            assert total - int(float(ask.number) * total) == kept
            assert total - round(float(ask.number) * total) == kept


def test_neural_compressor_has_anchored_names_and_leaves_the_last_linear(tmp_path: Path) -> None:
    """Reference: it prunes int(weights * target) of what re.search finds, the last Linear aside."""
    asked = elements(tmp_path)
    interop.export("neural-compressor", asked)
    script = runpy.run_path(str(tmp_path / "recipe_neural_compressor.py"))
    names = [name for name, _ in asked.prepared.model.named_modules()]
    found = {}
    for item in script["CONFIGS"]:
        (pattern,) = item["op_names"]
        (name,) = [name for name in names if re.search(pattern, name)]
        total = weight(name).numel()
        found[name] = total - int(total * item["target_sparsity"])
    assert found == kept_by(asked)
    assert "3.7" in script["__doc__"]
    last = [n for n, m in asked.prepared.model.named_modules() if isinstance(m, nn.Linear)][-1]
    asked = dataclasses.replace(asked, plan=at_ratio(asked.plan, [last], 0.5))
    with pytest.raises(UnsupportedError, match=rf"last Linear alone \({last}\).*export masks"):
        interop.export("neural-compressor", asked)


def test_aimet_cuts_the_inputs_of_the_layer_that_reads_them(tmp_path: Path) -> None:
    """Reference: it keeps max(1, int(inputs * ratio)) of the convolution that is named."""
    whole = plans.start_plan(sample_context("lenet5"), criterion="l1")
    asked = request(tmp_path, plan=at_ratio(whole, ["conv1"], 0.4))
    interop.export("aimet", asked)
    script = runpy.run_path(str(tmp_path / "recipe_aimet.py"))
    ((name, ratio),) = script["RATIOS"].items()
    assert name == "conv2"
    assert max(1, int(weight("conv2").shape[1] * ratio)) == kept_by(asked)["conv1"]
    assert "2.42.0" in script["__doc__"]


def test_a_function_in_the_model_is_named_where_aimet_does_not_follow_it() -> None:
    def prune(*_: object, **__: object) -> None:
        raise NotImplementedError("Unsupported op_type relu, dotted relu_2")

    case = SimpleNamespace(
        facts={"inputs": ["x"]},
        inputs=[[torch.zeros(2, 1)], [torch.zeros(5, 1)]],
        model=lambda _: nn.Linear(1, 1),
        ready_torchvision=lambda: None,
        script=lambda _: SimpleNamespace(prune=prune, RATIOS={}),
    )
    script = harness.load(SCRIPTS / "recipes" / "aimet.py")
    with pytest.raises(
        NotImplementedError, match=r"nn\.ReLU, and Linear calls .* relu_2; make it a"
    ):
        next(script.check(case))


def test_what_a_tool_cannot_say_is_refused_by_name(tmp_path: Path) -> None:
    """Channels for tools of weights; weights, linear readers, coupled groups for AIMET."""
    channels, weights = request(tmp_path), elements(tmp_path)
    for tool in ("sparseml", "llm-compressor", "neural-compressor"):
        with pytest.raises(UnsupportedError, match=r"conv1 is pruned by channel: export masks"):
            interop.export(tool, channels)
    with pytest.raises(UnsupportedError, match=r"conv1 is pruned by element: export masks"):
        interop.export("aimet", weights)
    with pytest.raises(UnsupportedError, match=r"cannot say conv2: fc1 is no Conv2d"):
        interop.export("aimet", channels)
    empty = dataclasses.replace(channels, plan=plans.scale(channels.plan, 0.0))
    with pytest.raises(InputError, match="the plan prunes nothing"):
        interop.export("sparseml", empty)
    residual = sample_context("resnet20")
    whole = plans.start_plan(residual, criterion="l1")
    structure = residual.require_structure()
    (group, *_) = [g.id for g in structure.groups if g.prunable and len(g.producers) > 1]
    plan = at_ratio(whole, [group], 0.5)
    with pytest.raises(UnsupportedError, match=rf"cannot say {group}: its channels are coupled"):
        interop.export("aimet", dataclasses.replace(channels, prepared=residual, plan=plan))
