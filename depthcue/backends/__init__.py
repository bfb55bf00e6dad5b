"""Running a net: torch, ONNX Runtime, OpenVINO and TensorRT, each behind one runner; precision and device memory."""
