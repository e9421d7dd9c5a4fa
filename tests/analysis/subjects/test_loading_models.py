from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from analysis.subjects.factories import code_stamps
from analysis.subjects.models import load_model
from analysis.subjects.parsing import parse_model
from pruners.errors import AddressError
from tests.helpers.tiny_subject import MODEL_SOURCE, seeded_state


@pytest.fixture
def factory(tmp_path: Path) -> str:
    path = tmp_path / "tiny_model.py"
    path.write_text(MODEL_SOURCE, encoding="utf-8")
    return f"{path}:build"


def load(text: str, **options: object) -> torch.nn.Module:
    return load_model(parse_model(text), **options).model  # type: ignore[arg-type]


def assert_same_state(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_a_sample_model_is_in_eval_mode_without_gradients() -> None:
    loaded = load_model(parse_model("sample:lenet5"))
    assert loaded.input_shape == (1, 28, 28)
    assert not any(module.training for module in loaded.model.modules())
    assert not any(item.requires_grad for item in loaded.model.parameters())


def test_a_factory_in_a_file(factory: str) -> None:
    assert isinstance(load(factory), torch.nn.Sequential)


def test_an_edited_file_gives_the_edited_model(factory: str, tmp_path: Path) -> None:
    load(factory)
    (tmp_path / "tiny_model.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Linear(3, 2)\n", encoding="utf-8"
    )
    assert isinstance(load(factory), torch.nn.Linear)


def test_a_factory_in_a_module() -> None:
    assert isinstance(load("tests.helpers.tiny_factories:mlp"), torch.nn.Sequential)


def test_an_edited_module_and_its_helpers_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old code ran on, under the identity of the new one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    package = tmp_path / "edited_nets"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sizes.py").write_text("OUT = 3")
    (package / "nets.py").write_text(
        "from torch import nn\nfrom . import sizes\n"
        "def build(): return nn.Sequential(nn.Flatten(), nn.Linear(64, sizes.OUT))\n"
    )
    address = parse_model("edited_nets.nets:build")

    def outputs() -> int:
        return int(load_model(address).model[-1].out_features)  # type: ignore[index, union-attr]

    assert outputs() == 3
    assert str(package / "sizes.py") in code_stamps(address)
    (package / "sizes.py").write_text("OUT = 12")
    assert outputs() == 12


@pytest.mark.parametrize("roots", [None, (Path("/nowhere"),)])
def test_a_mistyped_scheme_is_no_missing_module_alone(roots: tuple[Path, ...] | None) -> None:
    """On a page, where folders are allowed, as well."""
    with pytest.raises(
        AddressError, match=r"^'samle:lenet5': unknown scheme 'samle'; did you mean sample:lenet5\?"
    ):
        load_model(parse_model("samle:lenet5"), roots=roots)
    with pytest.raises(AddressError) as found:
        load_model(parse_model("my_models:net"), roots=roots)
    assert "did you mean" not in str(found.value)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("nesting", [(), ("state_dict",), ("model",), ("state_dict", "model")])
def test_state_dicts_of_many_trainers(
    factory: str, tmp_path: Path, prefix: str, nesting: tuple[str, ...]
) -> None:
    state = seeded_state(load(factory))
    content: object = {prefix + name: tensor for name, tensor in state.items()}
    for name in nesting:
        content = {name: content, "epoch": 3}
    torch.save(content, tmp_path / "w.pt")
    assert_same_state(load(f"{factory}#weights={tmp_path / 'w.pt'}"), state)


def test_safetensors(factory: str, tmp_path: Path) -> None:
    state = seeded_state(load(factory))
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    assert_same_state(load(f"{factory}#weights={tmp_path / 'w.safetensors'}"), state)


def test_keys_that_do_not_fit_are_listed(factory: str, tmp_path: Path) -> None:
    state = seeded_state(load(factory))
    state["head.weight"] = state.pop("5.weight")
    state["0.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(AddressError) as caught:
        load(f"{factory}#weights={tmp_path / 'w.pt'}")
    text = str(caught.value)
    assert "missing: 5.weight" in text
    assert "unexpected: head.weight" in text
    assert "0.bias (7,) instead of (6,)" in text
    assert "\n" not in text


def test_a_pickle_is_refused_and_not_run(factory: str, tmp_path: Path) -> None:
    import pickle  # the attacker's tool

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "owned",)  # type: ignore[return-value]

    (tmp_path / "w.pt").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(AddressError, match="weights_only=True"):
        load(f"{factory}#weights={tmp_path / 'w.pt'}")
    assert not (tmp_path / "owned").exists()


def test_missing_and_damaged_weights(factory: str, tmp_path: Path) -> None:
    with pytest.raises(AddressError, match="there is no weights file"):
        load(f"{factory}#weights={tmp_path / 'no.pt'}")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(AddressError, match="not a safetensors file"):
        load(f"{factory}#weights={tmp_path / 'bad.safetensors'}")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(AddressError, match="holds no tensors"):
        load(f"{factory}#weights={tmp_path / 'empty.pt'}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sample:resnet2000", "unknown sample model"),
        ("torchvision:resnet19", "did you mean resnet18"),
        ("torchvision:fasterrcnn_resnet50_fpn", "unknown torchvision classifier"),
        ("no_such_package.models:build", "No module named"),
        ("no/such/file.py:build", "there is no file"),
        ("tests.helpers.tiny_factories:nowhere", "has no function"),
    ],
)
def test_what_is_missing_is_named(text: str, says: str) -> None:
    with pytest.raises(AddressError, match=says):
        load(text)


def test_factories_that_raise_or_return_nonsense(factory: str) -> None:
    place = factory.removesuffix(":build")
    with pytest.raises(AddressError, match=r"raised OSError: the factory is$"):
        load(f"{place}:raising")
    with pytest.raises(AddressError, match=r"returns an nn\.Module, this one returned a int"):
        load(f"{place}:nothing")


def test_random_weights_are_the_same_each_time_and_said_so() -> None:
    state = torch.random.get_rng_state()
    first = load_model(parse_model("torchvision:squeezenet1_1#classes=7"))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert "random" in first.notes[0]
    assert first.input_shape == (3, 224, 224)
    assert_same_state(load("torchvision:squeezenet1_1#classes=7"), first.model.state_dict())


class TestRoots:
    def test_files_below_a_root_are_allowed(self, factory: str, tmp_path: Path) -> None:
        assert load(factory, roots=[tmp_path])

    def test_files_elsewhere_are_not(self, factory: str, tmp_path: Path) -> None:
        with pytest.raises(AddressError, match="outside of the folders"):
            load(factory, roots=[tmp_path / "sub"])

    def test_weights_elsewhere_are_not(self, tmp_path: Path) -> None:
        with pytest.raises(AddressError, match="outside of the folders"):
            load("sample:lenet5#weights=/etc/hostname", roots=[tmp_path])

    def test_a_link_out_of_the_root_is_followed(self, factory: str, tmp_path: Path) -> None:
        inside = tmp_path / "inside"
        inside.mkdir()
        (inside / "link.py").symlink_to(factory.removesuffix(":build"))
        with pytest.raises(AddressError, match="outside of the folders"):
            load(f"{inside / 'link.py'}:build", roots=[inside])

    @pytest.mark.parametrize("name", ["os:getcwd", "torch.hub:list", "no_such_thing:x", "sys:exit"])
    def test_modules_elsewhere_are_refused_unimported(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(AddressError, match="folders that this server allows"):
            load(name, roots=[tmp_path])

    def test_installed_packages_are_refused_even_below_a_root(self) -> None:
        with pytest.raises(AddressError, match="installed package"):
            load("torch.nn:Identity", roots=[Path("/")])

    def test_own_modules_below_a_root_are_allowed(self) -> None:
        root = Path(__file__).resolve().parents[3]
        assert load("tests.helpers.tiny_factories:mlp", roots=[root])


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["state_dict", "model"])
def test_a_state_dict_that_holds_itself_is_refused(factory: str, tmp_path: Path, name: str) -> None:
    """It passed ``weights_only`` and was followed for ever."""
    content: dict[str, object] = {"weight": torch.zeros(2)}
    content[name] = content
    torch.save(content, tmp_path / "endless.pt")
    with pytest.raises(AddressError, match="nests state_dict or model more than 8 deep"):
        load(f"{factory}#weights={tmp_path / 'endless.pt'}")


def test_a_deeply_nested_state_dict_is_refused(factory: str, tmp_path: Path) -> None:
    content: object = seeded_state(load(factory))
    for _ in range(9):
        content = {"model": content}
    torch.save(content, tmp_path / "deep.pt")
    with pytest.raises(AddressError, match="more than 8 deep"):
        load(f"{factory}#weights={tmp_path / 'deep.pt'}")


HOOKED_SOURCE = """
from torch import nn
from torch.nn.utils import prune


def build():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    prune.l1_unstructured(model[0], "weight", 0.5)
    prune.random_unstructured(model[0], "weight", 0.2)
    prune.ln_structured(model[3], "weight", 0.25, n=1, dim=1)
    return model
"""


def test_masks_of_torch_prune_become_zeros(tmp_path: Path) -> None:
    """Hooks that were not removed were a traceback."""
    path = tmp_path / "hooked.py"
    path.write_text(HOOKED_SOURCE, encoding="utf-8")
    torch.manual_seed(0)
    namespace: dict[str, Any] = {}
    exec(HOOKED_SOURCE, namespace)
    own = namespace["build"]().eval()
    safetensors.torch.save_file(own.state_dict(), str(tmp_path / "own.safetensors"))
    loaded = load_model(parse_model(f"{path}:build#weights={tmp_path / 'own.safetensors'}"))
    assert set(loaded.model.state_dict()) == {"0.weight", "0.bias", "3.weight", "3.bias"}
    assert "masks of torch.nn.utils.prune on 2 tensors" in " ".join(loaded.notes)
    inputs = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded.model(inputs), own(inputs))
