"""Where in a graph a node stands: before, among or after its products with the picture; that decides about its bits."""

import onnx

PRODUCTS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
BEFORE = "before the first convolution"
APART = "not of the picture (keep, lambda, constants)"
AFTER = "after the last convolution"


def away_from_features(model: onnx.ModelProto) -> list[str | None]:
    """For every node why it does not work on features; None for one that does.

    Features are what convolutions or matrix products have made of the picture, the graph's first input. A product that
    takes the picture itself counts as working on features, and what no product follows does not.
    """
    graph = model.graph
    of_picture, features = {graph.input[0].name}, set[str]()
    reasons: list[str | None] = []
    for node in graph.node:
        sees = any(name in of_picture for name in node.input)
        works = any(name in features for name in node.input) or (sees and node.op_type in PRODUCTS)
        of_picture.update(node.output if sees else ())
        features.update(node.output if works else ())
        reasons.append(None if works else BEFORE if sees else APART)
    needed = set[str]()
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if node.op_type in PRODUCTS or any(name in needed for name in node.output):
            needed.update(node.input)
        elif reasons[place] is None:
            reasons[place] = AFTER
    return reasons


def last_products(model: onnx.ModelProto) -> set[int]:
    """Places of the products that no other product follows: they make the output."""
    followed, last = set[str](), set[int]()
    for place in reversed(range(len(model.graph.node))):
        node = model.graph.node[place]
        feeds_product = any(name in followed for name in node.output)
        if node.op_type in PRODUCTS and not feeds_product:
            last.add(place)
        if node.op_type in PRODUCTS or feeds_product:
            followed.update(node.input)
    return last
