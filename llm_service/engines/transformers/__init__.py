"""Text generation on transformers: safetensors on a CPU or CUDA."""
