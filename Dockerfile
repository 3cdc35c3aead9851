# docker build -t transferlab . && docker run --rm -v "$PWD/work:/workspace" transferlab
# runs `transferlab fit --experiment lora_demo_sentences`; see docs/container.md
FROM python:3.11-slim-bookworm

# where torch comes from: processors only, or https://download.pytorch.org/whl/cu130 for GPUs
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1

WORKDIR /src
# the pinned packages are a layer of their own: a change of the code does not install them again
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN mkdir -p src/transferlab && touch src/transferlab/__init__.py \
    && pip install --extra-index-url "$TORCH_INDEX" -c constraints.txt '.[demo]'
COPY configs configs
COPY experiments experiments
COPY src src
RUN pip install --no-deps --force-reinstall . && useradd --create-home --uid 1000 runner \
    && mkdir /workspace && chown runner /workspace

USER 1000
WORKDIR /workspace
# what is downloaded and cached lies in the working folder, so a mounted one keeps it
ENV HF_HOME=/workspace/.cache/huggingface TRANSFERLAB_CACHE=/workspace/.cache/transferlab
VOLUME /workspace
# SIGTERM, which `docker stop` sends, saves the run; it needs more time than the usual ten seconds: docker stop -t 60
STOPSIGNAL SIGTERM
ENTRYPOINT ["transferlab"]
CMD ["fit", "--experiment", "lora_demo_sentences"]
