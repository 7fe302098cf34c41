# The demo as a container, or as a Docker Space (front matter: `sdk: docker`, `app_port: 7860`).
#   docker build -t dsvl2 .
#   docker run --rm -p 7860:7860 dsvl2
# For an NVIDIA GPU choose a CUDA build of torch, and ask for the GPU when running:
#   docker build -t dsvl2 --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#   docker run --rm -p 7860:7860 --gpus all -e DSVL2_MODEL=tiny dsvl2

FROM python:3.12-slim

# A C compiler, for the kernels that decode on a CPU; without it the demo runs as well, only slower. A font that knows
# Chinese and Japanese, for labels on downloaded pictures.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev fonts-droid-fallback \
    && rm -rf /var/lib/apt/lists/*

# Spaces run containers as uid 1000; everything below belongs to that user.
RUN useradd --create-home --uid 1000 user
USER user
ENV PATH=/home/user/.local/bin:$PATH \
    HF_HOME=/home/user/.cache/huggingface \
    PYTHONUNBUFFERED=1
# Made here, because WORKDIR would make its folder as root. Released weights are downloaded into HF_HOME: mount
# a volume on it to keep them; made beforehand, the volume is writable.
RUN mkdir -p /home/user/app "$HF_HOME"
WORKDIR /home/user/app

# torch first and from its own index, because PyPI's build for Linux brings several GB of CUDA libraries.
# Before the code, so that a change of code reuses these layers.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --chown=user requirements.txt constraints.txt ./
RUN pip install --user --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
RUN pip install --user --no-cache-dir -r requirements.txt -c constraints.txt

COPY --chown=user . .

# Reachable from outside the container; the flags' own default is this machine alone.
ENV GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860
EXPOSE 7860

# The page answers while a released model is downloaded, too; slim images have no curl.
HEALTHCHECK --interval=30s --timeout=5s --start-period=2m \
    CMD python -c "import os, urllib.request as u; e = os.environ; u.urlopen('http://127.0.0.1:' + (e.get('DSVL2_PORT') or e['GRADIO_SERVER_PORT']) + '/healthz')"

# As a list, so that the app itself receives SIGTERM, which it ends on.
CMD ["python", "app.py"]
