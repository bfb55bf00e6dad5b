"""16 bit where it holds the answer, float32 where it does not, and an emulation that overflows as hardware would."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from drawn_graphs import SIZE, conv, frames, node, operators_of, picture_graph, run, weight_types
from onnx import TensorProto

from depthcue.export.quantise import largest_values
from depthcue.export.versions import lower, rounding

KINDS = {"fp16": (TensorProto.FLOAT16, np.float16), "bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16)}


def graph(gain=1.0):
    """1×1 convolution, ReLU, its mean over the picture taken off, 1×1 convolution, sigmoid."""
    generator = np.random.default_rng(4)
    return picture_graph(
        conv("picture", "first", "features"), node("Relu", "features", "positive"),
        node("ReduceMean", ["positive", "axes"], "mean", keepdims=1), node("Sub", ["positive", "mean"], "centred"),
        conv("centred", "second", "logit"), node("Sigmoid", "logit", "mask"),
        weights={"first": np.float32(gain * generator.normal(size=(4, 3, 1, 1))), "axes": np.int64([2, 3]),
                 "second": np.float32(generator.normal(size=(1, 4, 1, 1)) / gain)}, output="mask")


def lowered(model, precision):
    return lower(model, precision, largest_values(model, [{"frames": frames(1)}]))


def slow(model, precision, given):
    """The answer with every 16-bit result rounded, computed in float64 by the definition of each node."""
    kind = KINDS[precision][1]

    def low(values):
        return np.asarray(values, np.float64).astype(kind).astype(np.float64)

    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    picture = given[0].transpose(2, 0, 1) / 255
    positive = np.maximum(low(np.einsum("oi,ihw->ohw", low(tensors["first"][:, :, 0, 0]), low(picture))), 0)
    centred = low(positive - low(positive.mean(axis=(1, 2), keepdims=True)))
    logit = low(np.einsum("oi,ihw->ohw", low(tensors["second"][:, :, 0, 0]), centred))
    return 1 / (1 + np.exp(-logit))[None]


@pytest.mark.parametrize("precision", KINDS)
def test_types_are_stated_and_range_keeps_float32(precision):
    model, lowering = lowered(graph(), precision)
    onnx.checker.check_model(model, full_check=True)
    kind = KINDS[precision][0]
    assert operators_of(model, kind) == ["Conv", "Relu", "Sub", "Conv"]
    assert operators_of(model, TensorProto.FLOAT) == ["Transpose", "Div", "ReduceMean", "Sigmoid"]
    assert weight_types(model) == {"scale": TensorProto.FLOAT, "axes": TensorProto.INT64, "first_" + precision: kind,
                                   "second_" + precision: kind}
    assert lowering["kept_in_fp32"] == {
        "before the first convolution": {"Cast": 1, "Transpose": 1, "Div": 1},
        "operator wants range or digits": {"ReduceMean": 1}, "after the last convolution": {"Sigmoid": 1}}
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize("precision", KINDS)
def test_the_emulation_rounds_where_the_definition_rounds(precision):
    original = graph()
    model, _ = lowered(original, precision)
    got = run(rounding(model), frames(2))
    wanted = slow(original, precision, frames(2))
    step = float(ml_dtypes.finfo(KINDS[precision][1]).eps)
    # float32 and float64 may round a tie to different sides: a step of a logit of about 1, times the sigmoid's 1/4
    np.testing.assert_allclose(got, wanted, atol=step / 2)
    # and it does round: float32 throughout is further away than that from most of it
    assert np.median(np.abs(got - run(original, frames(2)))) > 1e-6


def test_fp16_runs_as_a_file_and_bf16_does_not():
    """What the emulation is for; when this changes, bf16 files can be run in their own right."""
    model, _ = lowered(graph(), "fp16")
    np.testing.assert_allclose(run(model, frames(2)), run(graph(), frames(2)), atol=1e-3)
    with pytest.raises(Exception, match="NOT_IMPLEMENTED"):
        run(lowered(graph(), "bf16")[0], frames(2))


def test_values_beyond_fp16_keep_their_nodes_in_float32():
    large = graph(gain=1e5)
    model, lowering = lowered(large, "fp16")
    assert lowering["kept_in_fp32"]["values outside the range of fp16"] == {"Conv": 2, "Relu": 1, "Sub": 1}
    np.testing.assert_allclose(run(rounding(model), frames(2)), run(large, frames(2)), atol=1e-6)
    # bfloat16 has the range of float32
    assert "Conv" in lowered(large, "bf16")[1]["nodes"]


def test_values_too_small_for_fp16_keep_theirs_too():
    small = graph(gain=1e-6)
    model, lowering = lowered(small, "fp16")
    assert lowering["kept_in_fp32"]["values outside the range of fp16"]["Conv"] == 2
    np.testing.assert_allclose(run(rounding(model), frames(2)), run(small, frames(2)), atol=1e-6)


def test_the_emulation_overflows_where_this_cpu_does_not():
    """Ranges not measured: everything goes to fp16, and only the emulation shows what a GPU would give."""
    weights = {"first": np.full((1, 3, 1, 1), 1e4, np.float32), "second": np.full((1, 1, 1, 1), 1e4, np.float32),
               "third": np.full((1, 1, 1, 1), 1e-3, np.float32)}
    model, _ = lower(picture_graph(conv("picture", "first", "large"), conv("large", "second", "larger"),
                                   conv("larger", "third", "mask"), weights=weights, output="mask"), "fp16", {})
    bright = np.full((1, *SIZE, 3), 255, np.uint8)
    np.testing.assert_allclose(run(model, bright), 3e5, rtol=1e-2)
    assert np.isinf(run(rounding(model), bright)).all()


def test_what_lambda_alone_decides_stays_in_float32():
    model = picture_graph(
        conv("picture", "first", "features"), node("Gemm", ["lambda", "modulation"], "scales"),
        node("Unsqueeze", ["scales", "axes"], "scale_map"), node("Mul", ["features", "scale_map"], "modulated"),
        conv("modulated", "second", "mask"),
        weights={"first": np.ones((2, 3, 1, 1), np.float32), "modulation": np.ones((1, 2), np.float32),
                 "lambda": np.ones((1, 1), np.float32), "axes": np.int64([2, 3]),
                 "second": np.ones((1, 2, 1, 1), np.float32)}, output="mask")
    result, lowering = lower(model, "fp16", {})
    assert operators_of(result, TensorProto.FLOAT16) == ["Conv", "Mul", "Conv"]
    assert lowering["kept_in_fp32"]["not of the picture (keep, lambda, constants)"] == {"Gemm": 1, "Unsqueeze": 1}


def test_scores_that_order_pixels_stay_in_float32():
    model = picture_graph(conv("picture", "one", "features"), conv("features", "two", "scores"),
                          node("Sigmoid", ["scores"], "mask"),
                          weights={"one": np.ones((2, 3, 1, 1), np.float32), "two": np.ones((1, 2, 1, 1), np.float32)},
                          output="mask")
    assert operators_of(lower(model, "bf16", {})[0], TensorProto.BFLOAT16) == ["Conv", "Conv"]
    result, lowering = lower(model, "bf16", {}, gives_scores=True)
    assert operators_of(result, TensorProto.BFLOAT16) == ["Conv"]
    assert lowering["kept_in_fp32"]["its scores order the pixels"] == {"Conv": 1}


def test_a_value_is_cast_once_for_all_its_readers():
    model = picture_graph(
        conv("picture", "one", "left"), conv("picture", "two", "right"), node("Add", ["left", "right"], "mask"),
        weights={"one": np.ones((1, 3, 1, 1), np.float32), "two": np.ones((1, 3, 1, 1), np.float32)}, output="mask")
    result, _ = lower(model, "fp16", {})
    casts = [each.input[0] for each in result.graph.node if each.op_type == "Cast"]
    # the sum is after the last convolution, in float32
    assert casts == ["frames", "picture", "left_fp16", "right_fp16"]
