"""What holds for every entry of the registry, present and future."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pruners import criteria
from pruners.criteria import CRITERIA
from pruners.criteria.registry import ALL, ALL_TYPES, DATA_FREE, Level
from pruners.errors import InputError, UnknownNameError, UnsupportedError
from pruners.preserve import checksum
from pruners.statistics.calibration import NEEDS, Statistics, collect
from pruners.statistics.layer import LayerData
from tests.pruners.models import (
    RESIDUAL_LAYERS,
    SmallResidual,
    image_batches,
    one_layer,
    small_residual,
)

# Those of layers; what scores branches alone is tested with them.
NAMES = [entry.name for entry in CRITERIA if entry.level]
LEVELS: tuple[Level, ...] = ("channel", "element")
# Dims that run over the layer's inputs or samples instead of its filters.
INPUT_STATISTICS = ("input_norm", "input_gram")


@pytest.fixture(scope="module")
def model() -> SmallResidual:
    return small_residual()


@pytest.fixture(scope="module")
def statistics(model: SmallResidual) -> Statistics:
    return collect(model, image_batches(), layers=RESIDUAL_LAYERS, needs=frozenset(NEEDS), seed=7)


def supported(name: str) -> list[Level]:
    return [level for level in LEVELS if level in criteria.CRITERIA.get(name).granularities]


def scored(
    name: str, model: SmallResidual, statistics: Statistics
) -> Iterator[tuple[LayerData, Level, Tensor]]:
    """Yield the scores of each layer that has the statistics that the criterion needs."""
    needs = criteria.CRITERIA.get(name).needs - {"seed"}
    for layer in RESIDUAL_LAYERS:
        data = statistics.layer_data(model, layer)
        if needs <= set(data.statistics):
            for level in supported(name):
                yield data, level, criteria.scores(name, data, level=level)


@pytest.mark.parametrize("name", NAMES)
def test_metadata_is_complete(name: str) -> None:
    entry = criteria.CRITERIA.get(name)
    assert entry.name == name
    assert entry.needs <= set(NEEDS)
    assert entry.help.endswith(".")
    assert entry.granularities <= ALL
    assert ("block" in entry.granularities) == ("element" in entry.granularities)
    assert entry.needs_data == bool(entry.needs - DATA_FREE)
    assert (entry.cost == "weights") == (not entry.needs_data)


@pytest.mark.parametrize("name", NAMES)
def test_needs_are_truthful(name: str, model: SmallResidual, statistics: Statistics) -> None:
    """With only what it says it needs a criterion works; without any one of these it refuses."""
    entry = criteria.CRITERIA.get(name)
    found = 0
    for data, level, expected in scored(name, model, statistics):
        only = {need: data.statistics[need] for need in entry.needs - {"seed"}}
        alone = LayerData(
            name=data.name,
            weight=data.weight,
            type=data.type,
            conv_groups=data.conv_groups,
            statistics=only,
            seed=data.seed,
        )
        assert torch.equal(criteria.scores(name, alone, level=level), expected)
        found += 1
        for need in only:
            less = {key: value for key, value in only.items() if key != need}
            without = LayerData(name=data.name, weight=data.weight, type=data.type, statistics=less)
            with pytest.raises(UnsupportedError, match=f"layer {data.name}: .*{need}"):
                criteria.scores(name, without, level=level)
    assert found


@pytest.mark.parametrize("name", NAMES)
def test_shape_dtype_device_and_inputs_untouched(
    name: str, model: SmallResidual, statistics: Statistics
) -> None:
    for data, level, result in scored(name, model, statistics):
        expected = data.weight.shape if level == "element" else data.weight.shape[:1]
        assert result.shape == expected
        assert result.dtype in (torch.float32, torch.float64)
        assert result.device == data.weight.device
        assert not result.requires_grad
        assert bool(torch.isfinite(result).all())
        if name != "movement":
            assert bool((result >= 0).all())
        if name in ("apoz", "lamp", "random"):
            assert bool((result <= 1 + 1e-12).all())
        before = {key: value.clone() for key, value in data.statistics.items()}
        weight = data.weight.clone()
        criteria.scores(name, data, level=level).mul_(2).add_(1)
        assert torch.equal(data.weight, weight)
        assert all(torch.equal(value, before[key]) for key, value in data.statistics.items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_float_weight_gives_wide_scores(
    name: str, dtype: torch.dtype, model: SmallResidual, statistics: Statistics
) -> None:
    for data, level, _ in scored(name, model, statistics):
        cast = LayerData(
            name=data.name,
            weight=data.weight.to(dtype),
            type=data.type,
            conv_groups=data.conv_groups,
            statistics=data.statistics,
        )
        result = criteria.scores(name, cast, level=level)
        assert result.dtype in (torch.float32, torch.float64)


@pytest.mark.parametrize("name", [n for n in NAMES if "seed" not in criteria.CRITERIA.get(n).needs])
def test_permuting_filters_permutes_scores(
    name: str, model: SmallResidual, statistics: Statistics
) -> None:
    for data, level, result in scored(name, model, statistics):
        if data.conv_groups > 1:
            continue
        order = torch.randperm(len(data.weight), generator=torch.Generator().manual_seed(0))
        permuted = LayerData(
            name=data.name,
            weight=data.weight[order],
            type=data.type,
            statistics={
                key: value
                if key in INPUT_STATISTICS
                else (value[:, order] if key == "gate_gradients" else value[order])
                for key, value in data.statistics.items()
            },
        )
        found = criteria.scores(name, permuted, level=level)
        torch.testing.assert_close(found, result[order], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_collection_gives_the_same_scores(
    name: str, model: SmallResidual, statistics: Statistics
) -> None:
    again = collect(
        model,
        image_batches(),
        layers=RESIDUAL_LAYERS,
        needs=criteria.CRITERIA.get(name).needs,
        seed=7,
    )
    first = {(d.name, level): s for d, level, s in scored(name, model, statistics)}
    second = {(d.name, level): s for d, level, s in scored(name, model, again)}
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_model_is_left_as_found_also_by_an_exception(name: str) -> None:
    model = small_residual()
    before = checksum(model)
    needs = criteria.CRITERIA.get(name).needs
    statistics = collect(model, image_batches(), layers=RESIDUAL_LAYERS, needs=needs)
    list(scored(name, model, statistics))
    assert checksum(model) == before

    def batches() -> Iterator[tuple[Tensor, Tensor | None]]:
        yield image_batches()[0]
        raise KeyError("the data went away")

    with pytest.raises(KeyError):
        collect(model, batches(), layers=RESIDUAL_LAYERS, needs=needs)
    assert checksum(model) == before


@pytest.mark.parametrize("layer_type", sorted(ALL_TYPES))
@pytest.mark.parametrize("name", NAMES)
def test_each_layer_type_is_scored_or_refused_by_name(name: str, layer_type: str) -> None:
    model, inputs = one_layer(layer_type)
    labels = torch.arange(5) % 3
    entry = criteria.CRITERIA.get(name)
    statistics = collect(model, [(inputs, labels)], layers=["layer"], needs=entry.needs)
    data = statistics.layer_data(model, "layer")
    assert data.type == layer_type
    for level in supported(name):
        if layer_type not in entry.layer_types or "bn_scale" in entry.needs:
            with pytest.raises(UnsupportedError, match="layer layer"):
                criteria.scores(name, data, level=level)
        else:
            assert len(criteria.scores(name, data, level=level)) == len(data.weight)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown criterion 'l3'.*fpgm.*taylor"):
        criteria.CRITERIA.get("l3")


def test_duplicates_and_incomplete_entries_are_refused() -> None:
    text = {"label": "L", "citation": "C", "formula": "f", "help": "H."}
    with pytest.raises(InputError, match=r"'l1' is registered already; known: l1"):
        criteria.criterion("l1", **text)(lambda data, *, level: data.weight)
    with pytest.raises(InputError, match="lower case"):
        criteria.criterion("My Own", **text)
    with pytest.raises(InputError, match="needs a label"):
        criteria.criterion("mine", **{**text, "label": ""})
    with pytest.raises(InputError, match="granularity"):
        criteria.criterion("mine", **text, granularities={"chanel"})
    with pytest.raises(InputError, match="normalizer"):
        criteria.criterion("mine", **text, normalizer="median")
    with pytest.raises(InputError, match="layer type"):
        criteria.criterion("mine", **text, layer_types={"Conv9d"})


@pytest.mark.parametrize(
    ("result", "message"),
    [(torch.ones(2), "shape"), (torch.full((3,), float("inf")), "not finite")],
)
def test_wrong_results_are_named(result: Tensor, message: str) -> None:
    text = {"label": "L", "citation": "C", "formula": "f", "help": "H."}
    criteria.criterion("wrong", **text)(lambda data, *, level: result)
    try:
        with pytest.raises(InputError, match=f"layer x: criterion wrong .*{message}"):
            criteria.scores("wrong", LayerData(name="x", weight=torch.ones(3, 2)), level="channel")
    finally:
        CRITERIA.remove("wrong")


@pytest.mark.parametrize(
    ("name", "need", "matrix"),
    [
        ("sparsegpt", "input_gram", torch.tensor([[[1.0, 5.0], [5.0, 1.0]]])),
        ("obs", "fisher_blocks", torch.tensor([[[1.0, 5.0], [5.0, 1.0]]] * 3)),
    ],
)
def test_a_matrix_without_an_inverse_fails_its_layer_not_the_run(
    name: str, need: str, matrix: Tensor
) -> None:
    """The rounded sum of one gradient with itself was one, and ended a sweep in a traceback."""
    data = LayerData(name="x", weight=torch.ones(3, 2), type="Linear", statistics={need: matrix})
    with pytest.raises(InputError, match=f"layer x: criterion {name} .*more samples"):
        criteria.scores(name, data, level="element")
