"""Global ranking: one threshold, exact count, one unit of each layer stays."""

from __future__ import annotations

import pytest
import torch

from pruners import criteria
from pruners.errors import InputError, UnknownNameError
from pruners.normalizers import NORMALIZERS, normalize
from pruners.selection import global_masks
from pruners.statistics.layer import LayerData


def scores() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "a": torch.rand(10, generator=generator),
        "b": 100 * torch.rand(4, 5, generator=generator),
        "c": torch.rand(3, generator=generator) + 5,
    }


@pytest.mark.parametrize("normalizer", NORMALIZERS.names())
@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("keep_one", [True, False])
def test_count_is_exact_and_nothing_lower_stays(
    normalizer: str, ratio: float, keep_one: bool
) -> None:
    masks = global_masks(scores(), ratio, normalizer=normalizer, keep_one=keep_one)
    assert {name: mask.shape for name, mask in masks.items()} == {
        name: item.shape for name, item in scores().items()
    }
    removed = sum(int((~mask).sum()) for mask in masks.values())
    assert removed == min(int(ratio * 33 + 0.5), 30 if keep_one else 33)
    if keep_one:
        assert all(mask.any() for mask in masks.values())
        return
    normal = {name: normalize(item, normalizer=normalizer) for name, item in scores().items()}
    kept = torch.cat([normal[name][mask] for name, mask in masks.items()])
    gone = torch.cat([normal[name][~mask] for name, mask in masks.items()])
    if len(kept) and len(gone):
        assert kept.min() >= gone.max()


def test_within_a_layer_the_order_is_that_of_its_scores() -> None:
    for normalizer in NORMALIZERS.names():
        for item in scores().values():
            flat = item.reshape(-1)
            ranked = normalize(flat, normalizer=normalizer)
            assert torch.equal(ranked.argsort(), flat.argsort())


def test_normalisers_divide_by_what_they_say() -> None:
    values = torch.tensor([3.0, -4.0, 0.0, 5.0])
    scales = {"none": 1, "mean": 3, "sum": 12, "max": 5, "l2": 50**0.5}
    assert set(scales) == set(NORMALIZERS.names()) - {"lamp"}
    for name, scale in scales.items():
        expected = [value / scale for value in values.tolist()]
        assert normalize(values, normalizer=name).tolist() == pytest.approx(expected)
    zeros = torch.zeros(3)
    assert all(
        torch.equal(normalize(zeros, normalizer=n), zeros.double()) for n in NORMALIZERS.names()
    )


def test_lamp_normaliser_on_l1_is_the_lamp_criterion() -> None:
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    data = LayerData(name="l", weight=weight)
    expected = criteria.scores("lamp", data, level="element")
    torch.testing.assert_close(normalize(weight.abs(), normalizer="lamp"), expected)


def test_ties_go_in_the_order_of_layers() -> None:
    equal = {"first": torch.ones(2), "second": torch.ones(2)}
    masks = global_masks(equal, 0.75, normalizer="none", keep_one=False)
    assert masks["first"].tolist() == [False, False]
    assert masks["second"].tolist() == [False, True]


def test_bad_input() -> None:
    with pytest.raises(InputError, match="at least one layer"):
        global_masks({}, 0.5, keep_one=False)
    with pytest.raises(UnknownNameError, match="unknown normalizer"):
        global_masks(scores(), 0.5, normalizer="median", keep_one=False)
    with pytest.raises(InputError, match="NaN"):
        global_masks({"a": torch.tensor([float("nan")])}, 0.5, keep_one=False)
