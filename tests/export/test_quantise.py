"""int8: the arithmetic of the definition, the last product in float, and the costliest products found."""

import numpy as np
import onnx
import pytest
from drawn_graphs import SIZE, conv, frames, node, picture_graph, run, weight_types
from onnx import TensorProto

from depthcue.backends.onnx_backend import feeds
from depthcue.errors import DepthcueError
from depthcue.export.quantise import largest_values, quantisable, quantise
from depthcue.export.versions import versions
from depthcue.nets import MaskDescription

DESCRIPTION = MaskDescription("drawn", "nowhere", *SIZE, multiple=1, default_lambda=1.0)


def graph(inner=1.0):
    """Convolution, ReLU, convolution, ReLU, convolution; one channel is `inner` times larger before the second."""
    generator = np.random.default_rng(4)
    first, second = (np.float32(generator.normal(size=size)) for size in ((4, 3, 1, 1), (5, 4, 1, 1)))
    gains = np.ones((1, 4, 1, 1), np.float32)
    gains[:, 0], second[:, 0] = inner, second[:, 0] / inner
    return picture_graph(
        conv("picture", "first", "a"), node("Relu", "a", "b"), node("Mul", ["b", "gains"], "amplified"),
        conv("amplified", "second", "c"), node("Relu", "c", "d"), conv("d", "last", "mask"),
        weights={"first": first, "gains": gains, "second": second,
                 "last": np.float32(generator.normal(size=(1, 5, 1, 1)))},
        output="mask")


def slow(model, largest, given):
    """The quantised answer by definition: whole numbers between the products, every one clipped at ±127 steps."""
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor).astype(np.float64) for tensor in model.graph.initializer}

    def stepped(values, size):
        return np.clip(np.rint(values / (size / 127)), -128, 127) * (size / 127)

    def product(values, name, read):
        weights = tensors[name][:, :, 0, 0]
        weights = np.stack([stepped(row, np.abs(row).max()) for row in weights])
        return np.maximum(stepped(np.einsum("oi,ihw->ohw", weights, values), largest[read]), 0)

    picture = stepped(given[0].transpose(2, 0, 1) / 255, largest["picture"])
    features = product(product(picture, "first", "b"), "second", "d")
    return np.einsum("oi,ihw->ohw", tensors["last"][:, :, 0, 0], features)[None]


def test_it_computes_what_the_definition_says():
    model = graph()
    largest = largest_values(model, [{"frames": frames(seed)} for seed in range(4)])
    weights = quantisable(model)
    assert weights == ["first", "second"]
    result = quantise(model, largest, weights)
    onnx.checker.check_model(result, full_check=True)
    wanted = slow(model, largest, frames(9))
    # a value at a tie may go to either side: less than a step of the widest, through weights of about 1
    np.testing.assert_allclose(run(result, frames(9)), wanted, atol=largest["d"] / 127)
    assert np.median(np.abs(run(result, frames(9)) - wanted)) < 1e-5
    # and that differs from float32, so the test can tell them apart
    assert np.median(np.abs(run(model, frames(9)) - wanted)) > 1e-3


@pytest.mark.parametrize("kind", ["Relu", "Clip"])
def test_what_an_activation_cuts_off_takes_no_steps(kind):
    """The first convolution gives -20 to 5 and the activation 0 to 5: the steps are a 127th of 5."""
    bounds = ["least", "most"] if kind == "Clip" else []
    model = picture_graph(
        conv("picture", "first", "a"), node(kind, ["a", *bounds], "b"), conv("b", "second", "c"),
        conv("c", "last", "mask"),
        weights={"first": np.float32([[-20, 0, 0], [0, 5, 0]])[..., None, None], "least": np.float32(0),
                 "most": np.float32(6), "second": np.ones((1, 2, 1, 1), np.float32),
                 "last": np.ones((1, 1, 1, 1), np.float32)}, output="mask")
    bright = np.full((1, *SIZE, 3), 255, np.uint8)
    result = quantise(model, largest_values(model, [{"frames": bright}]), ["first"])
    scales = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in result.graph.initializer}
    assert scales["a_scale"] == pytest.approx(5 / 127)


def test_the_graph_says_what_tensorrt_takes():
    model = graph()
    result = quantise(model, largest_values(model, [{"frames": frames()}]), ["first", "second"])
    kinds = weight_types(result)
    assert kinds["first_q"] == kinds["second_q"] == TensorProto.INT8 and kinds["last"] == TensorProto.FLOAT
    assert "first" not in kinds
    zeros = [onnx.numpy_helper.to_array(tensor) for tensor in result.graph.initializer if "zero" in tensor.name]
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zeros)
    assert TensorProto.INT32 not in kinds.values()  # no bias in integers
    scales = {tensor.name: tensor.dims[:] for tensor in result.graph.initializer if tensor.name.endswith("_scale")}
    assert scales["first_scale"] == [4] and scales["second_scale"] == [5] and scales["amplified_int8_scale"] == []


def test_channels_that_are_all_zero_do_no_harm():
    model = graph()
    for tensor in model.graph.initializer:
        if tensor.name == "first":
            values = onnx.numpy_helper.to_array(tensor).copy()
            values[2] = 0
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, "first"))
    black = np.zeros((1, *SIZE, 3), np.uint8)
    result = quantise(model, largest_values(model, [{"frames": black}]), ["first", "second"])
    assert np.isfinite(run(result, frames())).all()


def test_further_versions_leave_out_what_costs_most():
    """One channel a hundred times larger than its neighbours, which the second product has to weigh by a hundredth."""
    model = graph(inner=100.0)
    pictures = [frames(seed)[0] for seed in range(8)]
    first, second = versions(model, "int8", DESCRIPTION, pictures)
    assert first.facts["nodes"] == {"Conv": 2} and second.facts["nodes"] == {"Conv": 1}
    assert second.facts["kept_in_fp32"][1:] == ["second"]
    wanted = run(model, frames(9))
    errors = [np.abs(run(each.model, frames(9)) - wanted).mean() for each in (first, second)]
    assert errors[1] < errors[0] / 2


def test_too_few_pictures_and_nothing_to_quantise_are_errors():
    with pytest.raises(DepthcueError, match="at least 8 calibration pictures, not 1"):
        next(versions(graph(), "int8", DESCRIPTION, [frames()[0]]))
    alone = picture_graph(conv("picture", "last", "mask"), weights={"last": np.ones((1, 3, 1, 1), np.float32)},
                          output="mask")
    with pytest.raises(DepthcueError, match="no convolution that could"):
        next(versions(alone, "int8", DESCRIPTION, [frames()[0]] * 8))


def test_calibration_goes_through_the_range_of_lambda():
    dial = MaskDescription("dial", "nowhere", *SIZE, multiple=1, default_lambda=2.0, lambda_range=(0.5, 8.0))
    lams = [float(run["lambda"][0]) for run in feeds(dial, [frames()[0]] * 8)]
    assert lams == [0.5, 8.0, 2.0, 2.0] * 2
    assert all("lambda" not in run for run in feeds(DESCRIPTION, [frames()[0]]))


def test_matrix_products_have_a_scale_for_each_column():
    weight = np.float32(np.random.default_rng(3).normal(size=(6, 5)) * np.float32([1, 10, 100, 1000, 1]))
    model = picture_graph(
        conv("picture", "first", "a"), node("MatMul", ["a", "weight"], "b"), node("MatMul", ["b", "last"], "mask"),
        weights={"first": np.ones((1, 3, 1, 1), np.float32), "weight": weight, "last": np.ones((5, 1), np.float32)},
        output="mask", shape=(1, 1, SIZE[0], 1))
    result = quantise(model, largest_values(model, [{"frames": frames(5)}]), ["weight"])
    scales = next(tensor for tensor in result.graph.initializer if tensor.name == "weight_scale")
    np.testing.assert_allclose(onnx.numpy_helper.to_array(scales), np.abs(weight).max(axis=0) / 127, rtol=1e-6)
    wanted = run(model, frames(5))
    # inputs, weights and output are each off by up to half a step of 127
    np.testing.assert_allclose(run(result, frames(5)), wanted, atol=0.02 * np.abs(wanted).max())
