"""An exported ONNX folder with smaller numbers, judged beside the one in float32."""
