"""Running a net: torch, ONNX Runtime, OpenVINO and TensorRT, behind one session; precision and device memory."""
