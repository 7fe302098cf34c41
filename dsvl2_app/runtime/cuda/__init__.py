"""The model's stages as a GPU wants them: recorded as CUDA graphs, and decode in kernels of its own."""
