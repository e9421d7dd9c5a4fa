"""A plan's model in 8 bits as ONNX, calibrated on the subject's samples (extra ``onnx``)."""

from __future__ import annotations

from functools import partial

from analysis import runtimes
from analysis.files import atomic
from analysis.interop.formats.smaller_model import model_notes
from analysis.interop.request import Exported, ExportRequest
from analysis.records import Sums
from analysis.sentences import listed, percent
from pruners.batches import Inputs, text_lengths
from pruners.errors import PruneScopeError

FILE = "model-int8.onnx"


def export_int8(request: ExportRequest) -> Exported:
    """Write ``model-int8.onnx``, and say how its answers compare with those in float32.

    Raises:
        InputError: There are no calibration samples.
        UnsupportedError: A package is missing, or the model does not go into ONNX or 8 bits.
        PruneScopeError: A zero weight did not stay zero.
    """
    prepared = request.prepared
    runtimes.require_int8(prepared)
    model, example = request.model(), prepared.subject.example
    exact = runtimes.as_onnx(model, example)
    runtimes.check_onnx(exact, model, example)
    content = runtimes.quantized_onnx(exact, partial(runtimes.calibration_inputs, prepared))
    before, after = runtimes.count_zeros(exact), runtimes.count_zeros(content)
    if after < before:
        raise PruneScopeError(f"{before} weights are zero in float32, but only {after} in 8 bits")
    path = request.directory / FILE
    with atomic(path) as unfinished:
        unfinished.write_bytes(content)
    text = f"the {request.form_words} in 8 bits, {after:,} weights zero (float32: {before:,})"
    calibration = len(prepared.subject.calibration or ())
    notes = (
        *model_notes(request),
        *runtimes.length_notes(exact, example),
        f"activations are calibrated on {calibration} samples{_lengths(example)} that are not "
        "evaluated",
        *_compared(request, exact, content),
        "on processors without 8-bit instructions (VNNI) sums may saturate and answers differ",
    )
    return Exported(files=((path, text),), notes=notes)


def _lengths(example: Inputs) -> str:
    """Say how long texts are that ranges were measured on; other lengths may have others."""
    sizes = sorted(text_lengths(example))
    if not sizes:
        return ""
    size = listed([str(item) for item in sizes])
    return f" of {size} tokens, as they are evaluated (texts of other lengths may lose more),"


def _compared(request: ExportRequest, exact: bytes, content: bytes) -> tuple[str, ...]:
    """Run both files on the evaluation subset; say how they differ."""
    subject = request.prepared.subject
    if subject.evaluation is None:
        return ("there is no evaluation data, so the accuracy in 8 bits is not known",)
    task, words = subject.task, subject.task.words
    models = [runtimes.OnnxModel(item) for item in (exact, content)]
    sums = [Sums(), Sums()]
    same, difference = 0, 0.0
    for inputs, labels in subject.evaluation.batches(request.prepared.batch_size):
        first, second = (model(inputs.cpu()) for model in models)
        targets = None if labels is None else labels.cpu()
        for place, found in enumerate((first, second)):
            sums[place] += task.sums(task.vector(first, found, targets).tolist())
        same += int(task.agree(first, second).sum())
        difference = max(difference, runtimes.relative_difference(second, first))
    scores = [words.score(task.score(item)) for item in sums]
    total = sums[0].samples
    text = f"{words.label} {scores[1]} in 8 bits, {scores[0]} in float32, on {total} samples; "
    return (
        text + f"{same} of {total} answers are the same; outputs differ by "
        f"{percent(difference, digits=1)} of the largest at most",
    )
