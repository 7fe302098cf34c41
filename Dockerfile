# The demo as a container, or as a Docker Space (front matter: `sdk: docker`, `app_port: 7860`).
#   docker build -t dsvl2 .
#   docker run --rm -p 7860:7860 dsvl2                    # flags may follow, as --metrics
# For an NVIDIA GPU:
#   docker build -t dsvl2:cuda --target cuda .
#   docker run --rm -p 7860:7860 --gpus all -v dsvl2:/home/user/.cache dsvl2:cuda --model tiny
# The volume keeps weights and compiled kernels. docker-compose.yml has both, and the page in front of vLLM.
#
# The last stage is the one for CPUs, because it is what a Space builds.

# -- the packages, in an environment that later stages copy --------------------------------------------------------

FROM python:3.12-slim-trixie AS builder
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/dsvl2/bin:$PATH
WORKDIR /build
RUN python -m venv /opt/dsvl2
COPY requirements.txt constraints.txt ./

# torch first and from its own index, because PyPI's build for Linux brings several GB of CUDA libraries. pip is not
# wanted afterwards.
FROM builder AS packages-cuda
ARG CUDA_INDEX=https://download.pytorch.org/whl/cu130
RUN pip install --index-url "$CUDA_INDEX" "$(grep '^torch==' constraints.txt)"
RUN pip install -r requirements.txt -c constraints.txt && pip uninstall -y pip

FROM builder AS packages-cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"
RUN pip install -r requirements.txt -c constraints.txt && pip uninstall -y pip

# -- what both images have besides ---------------------------------------------------------------------------------

FROM python:3.12-slim-trixie AS runtime
# A C compiler, for the kernels that decode on a CPU and the launchers of those on a GPU; without it the demo runs on a
# CPU as well, only slower. A font that knows Chinese and Japanese, for labels on downloaded pictures. Debian keeps one
# release of each, so there is nothing to pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev fonts-droid-fallback \
    && rm -rf /var/lib/apt/lists/*

# Spaces run containers as uid 1000. What a volume may lie on is made beforehand, so that the volume is that user's:
# .cache, or in it dsvl2 for compiled kernels and huggingface for weights. The folder of the app too, because WORKDIR
# would make it root's.
RUN useradd --create-home --uid 1000 user
USER 1000
RUN mkdir -p /home/user/app /home/user/.cache/dsvl2 /home/user/.cache/huggingface
WORKDIR /home/user/app

# Reachable from outside the container; the flags' own default is this machine alone.
ENV PATH=/opt/dsvl2/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/home/user/.cache/huggingface \
    TRITON_CACHE_DIR=/home/user/.cache/dsvl2/triton \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860
EXPOSE 7860

# Asks /healthz at the port that the app was started with, as a flag or in its environment. The page answers while a
# released model is downloaded, too.
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m \
    CMD ["python", "-m", "dsvl2_app.health.probe"]

# As a list, so that the app itself receives SIGTERM, which it ends on.
ENTRYPOINT ["python", "app.py"]

# -- the images; the code last, so that a change of it reuses all before --------------------------------------------

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=packages-cuda /opt/dsvl2 /opt/dsvl2
COPY --chown=1000 . .

FROM runtime AS cpu
COPY --from=packages-cpu /opt/dsvl2 /opt/dsvl2
COPY --chown=1000 . .
