"""Models as users hand them over: unwrapped, or refused in one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analysis.records.subject import SubjectSpec
from analysis.subjects.models import load_model
from analysis.subjects.parsing import parse_model
from analysis.subjects.subject import load_subject
from pruners.errors import AddressError, InputError
from pruners.preserve import preserved

SOURCE = """
import random

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, end=lambda y: y, middle=lambda x: x):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 10)
        self.end, self.middle = end, middle

    def forward(self, x):
        x = self.middle(torch.relu(self.norm(self.conv(x))))
        return self.end(self.fc(x.mean((2, 3))))


def made(*args):
    torch.manual_seed(0)
    return Net(*args)


def plain(): return made()


class Named(Net):
    def __repr__(self): raise KeyError("name")


class Listed(Net):
    def parameters(self, recurse=True): raise RuntimeError("none")


class Stated(Net):
    def state_dict(self, *args, **kwargs): raise SystemExit(3)


class Fixed(Net):
    def to(self, *args, **kwargs): raise RuntimeError("stays")


def overwriting(): return nn.Sequential(Shift(), made())


class Shift(nn.Module):
    def forward(self, x): return x.sub_(0.1)


def expanded():
    model = made()
    model.conv.weight = nn.Parameter(torch.ones(1, 1, 3, 3).expand(8, 1, 3, 3))
    model.conv.bias = nn.Parameter(torch.arange(8.0))
    model.norm.running_var = torch.ones(1).expand(8)
    return model


def parallel(): return nn.DataParallel(made())
def compiled(): return torch.compile(made())
def parts():
    model = made()
    model.conv = nn.DataParallel(torch.compile(model.conv))
    return model
def scripted(): return torch.jit.trace(made().eval(), torch.zeros(2, 1, 28, 28))
def script_inside():
    model = made()
    model.norm = torch.jit.trace(model.norm.eval(), torch.zeros(2, 8, 26, 26))
    return model
def quantised(): return torch.ao.quantization.quantize_dynamic(made(), {nn.Linear})
def lazy(): return nn.Sequential(nn.LazyConv2d(8, 3), nn.Flatten(), nn.LazyLinear(10))
def exported(): return torch.export.export(made().eval(), (torch.zeros(2, 1, 28, 28),)).module()
def meta(): return made().to("meta")
def sparse():
    model = made()
    model.fc.weight = nn.Parameter(model.fc.weight.detach().to_sparse())
    return model
def half(): return made().half()
def double(): return made().double()
def probable(): return made(lambda y: y.softmax(1))
def bounded(): return made(torch.sigmoid)
def certain(): return made(lambda y: nn.functional.one_hot(y.argmax(1), 10).float())
def small(): return made(lambda y: 0.01 * torch.relu(y))
def whole(): return made(lambda y: (y * 10).long())
def complex(): return made(lambda y: y * 1j)
def unreal(): return made(lambda y: y.to("meta"))
def scattered(): return made(lambda y: y.to_sparse())
def noisy(): return made(lambda y: y, lambda x: x + torch.randn_like(x))
def dropping(): return made(lambda y: y, lambda x: nn.functional.dropout(x, 0.5, training=True))
def seldom(): return made(lambda y: y, lambda x: x * (random.random() > 0.3))
def hardly(): return made(lambda y: y, lambda x: nn.functional.dropout(x, 0.001, training=True))
def centred(): return made(lambda y: y, lambda x: x - 0.01 * x.mean(0, keepdim=True))
def topped(): return made(lambda y: y + 0.01 * y.max())
def wasteful(): return made(lambda y: y, lambda x: (torch.rand(1), x)[1])
class Slower(nn.Module):
    calls = 0
    def __init__(self):
        super().__init__()
        self.net = made()
    def forward(self, x):
        self.calls += 1
        return self.net(x) * (1 + 0.001 * self.calls)
def slower(): return Slower()
def averaged(): return torch.optim.swa_utils.AveragedModel(made())
def by_batch(): return made(lambda y: y.softmax(0) * 5)
class Recurrent(nn.Module):
    # The batch is taken for a sequence: batch_first is missing.
    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(28, 8), nn.Linear(8, 10)
    def forward(self, x):
        return self.fc(self.lstm(x.squeeze(1))[0][:, -1])
def sequence():
    torch.manual_seed(0)
    return Recurrent()
class Masked(Net):
    def forward(self, x):
        y = super().forward(nn.functional.dropout(x, 0.5, training=True))
        return y + torch.tensor([0.0] * 9 + [-1e9])
def masked_noisy():
    torch.manual_seed(0)
    return Masked()
def dead_class(): return made(lambda y: y * torch.tensor([1.0] * 9 + [0.0]))
class Counts(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
    def forward(self, x):
        self.calls += 1
        return super().forward(x)
def counts():
    torch.manual_seed(0)
    return Counts()
class Frozen(Net):
    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
def returns_nothing():
    torch.manual_seed(0)
    return Frozen()
def batch_norm():
    model = made()
    model.norm = nn.BatchNorm2d(8, track_running_stats=False)
    return nn.Sequential(model, nn.BatchNorm1d(10, track_running_stats=False))
class Stays(Net):
    def train(self, mode=True):
        super().train(mode)
        self.norm.train(True)
        return self
def stays():
    torch.manual_seed(0)
    return Stays()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "handed_over.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["parallel", "compiled", "parts", "averaged"])
def test_wrappers_are_taken_off(file: Path, name: str) -> None:
    """DataParallel, torch.compile, AveragedModel; the module itself was meant."""
    plain = load_model(parse_model(f"{file}:plain")).model
    found = load_model(parse_model(f"{file}:{name}")).model
    assert type(found).__name__ == "Net"
    assert found.state_dict().keys() == plain.state_dict().keys()
    inputs = torch.randn(2, 1, 28, 28)
    assert torch.equal(found(inputs), plain(inputs))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("scripted", "is compiled by torch.jit; hand over the module"),
        ("script_inside", r"norm \(.*\) is compiled by torch.jit"),
        ("quantised", r"fc \(Linear\) is quantised; prune the float model"),
        ("lazy", r"0 \(LazyConv2d\) has no sizes yet; run the model once"),
        ("exported", "cannot be put into eval mode"),
        ("meta", "is on the meta device"),
        ("sparse", "holds sparse tensors"),
        ("stays", "norm stays in train mode"),
    ],
)
def test_what_cannot_be_studied_is_refused(file: Path, name: str, reason: str) -> None:
    """Scripted, quantised and lazy models were tracebacks."""
    with pytest.raises(AddressError, match=reason) as caught:
        load_model(parse_model(f"{file}:{name}"))
    assert "\n" not in str(caught.value)


def test_a_float_model_that_will_be_quantised_is_taken(tmp_path: Path) -> None:
    """Its sums are modules of torch's package of quantised ones, whose name its own may have."""
    path = tmp_path / "quantized_net.py"
    path.write_text(
        "from torch import nn\n"
        "from torch.ao.nn.quantized import FloatFunctional\n"
        "from torch.ao.quantization import DeQuantStub, QuantStub\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.quant, self.back, self.sum = QuantStub(), DeQuantStub(), FloatFunctional()\n"
        "        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 3)\n"
        "    def forward(self, x):\n"
        "        x = self.quant(x)\n"
        "        return self.back(self.second(self.sum.add_relu(x, self.first(x))))\n"
    )
    found = load_model(parse_model(f"{path}:Net")).model
    assert found(torch.randn(2, 6)).shape == (2, 3)


def subject(file: Path, name: str) -> SubjectSpec:
    return SubjectSpec(
        model=f"{file}:{name}", data="sample:fashion-mnist", samples=40, calibration_samples=16
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("half", "its weights are float16, inputs are float32"),
        ("double", "its weights are float64, inputs are float32"),
        ("whole", "must return real logits; it returned torch.int64"),
        ("complex", "must return real logits; it returned torch.complex64"),
        ("unreal", "returns a meta tensor; a plain one is needed"),
        ("scattered", "returns a sparse tensor; a plain one is needed"),
        ("noisy", "answers the same inputs differently each time"),
        ("dropping", "answers the same inputs differently each time"),
        ("seldom", "answers the same inputs differently each time"),
        ("hardly", "answers the same inputs differently each time"),
        ("slower", "answers the same inputs differently each time"),
        ("centred", "differently beside other samples than beside these"),
        ("topped", "differently beside other samples than beside these"),
        ("by_batch", "differently in a batch of 1 than in one of 32"),
        ("batch_norm", "differently in a batch of 3 than in one of 32"),
        ("sequence", "differently after others than in one of 32"),
        ("masked_noisy", "answers the same inputs differently each time"),
        ("counts", "changes calls in each pass"),
    ],
)
def test_answers_that_tell_nothing_are_refused(file: Path, name: str, reason: str) -> None:
    """Dropout, counters, whatever the batch decides."""
    with pytest.raises(InputError, match=reason) as caught:
        load_subject(subject(file, name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("plain", 0),
        ("probable", 1),
        ("bounded", 1),
        ("certain", 1),
        ("small", 0),
        ("dead_class", 0),
        ("returns_nothing", 0),
        ("wasteful", 0),
    ],
)
def test_outputs_that_look_like_probabilities_are_said(file: Path, name: str, count: int) -> None:
    """What a ReLU gives may lie between 0 and 1, too."""
    notes = load_subject(subject(file, name)).notes
    assert sum("look like probabilities" in note for note in notes) == count


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Named", r"__repr__\(\) of Named, or of a module in it, raises KeyError: 'name'"),
        ("Listed", r"parameters\(\) of Listed, .* raises RuntimeError: none"),
        ("Stated", r"state_dict\(\) of Stated, .* raises RuntimeError"),
        ("Fixed", "cannot be moved to device 'cpu': RuntimeError: stays"),
        ("overwriting", "writes into its inputs, so that each pass finds others"),
    ],
)
def test_methods_that_raise_are_named(file: Path, name: str, reason: str) -> None:
    """Each was a traceback; writing into the inputs was called dropout."""
    with pytest.raises(InputError, match=reason) as caught:
        load_subject(subject(file, name))
    assert "\n" not in str(caught.value)


def test_expanded_weights_get_memory_of_their_own(file: Path) -> None:
    """Values that share a place could not be put back after calibration."""
    loaded = load_model(parse_model(f"{file}:expanded")).model
    conv, norm = loaded.conv, loaded.norm
    with preserved(loaded), torch.no_grad():
        conv.weight[0].zero_()
        norm.running_var[0] = 5.0
        assert torch.equal(conv.weight[1:], torch.ones(7, 1, 3, 3))
    assert torch.equal(conv.weight, torch.ones(8, 1, 3, 3))
    assert torch.equal(norm.running_var, torch.ones(8))
