# The project and its two commands: `make setup` while the image is made, `make run` when it is started. How: docs/deploy.md
ARG BASE=python:3.11-slim
FROM ${BASE}

# More of Debian's packages, such as PACKAGES="libgl1" where a graphics card draws, too.
ARG PACKAGES=""
RUN apt-get update \
    && apt-get install -y --no-install-recommends git make libegl1 libgles2 ${PACKAGES} \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home affect4d && install -d -o affect4d -g affect4d /project
USER affect4d
WORKDIR /project

# The 5 GB come before the source, so that a changed line of it does not fetch them again.
COPY --chown=affect4d:affect4d Makefile pyproject.toml requirements.lock requirements-pretrained.lock README.md LICENSE ./
COPY --chown=affect4d:affect4d scripts/setup scripts/setup
RUN mkdir -p src/affect4d && touch src/affect4d/__init__.py && PIP_NO_CACHE_DIR=1 make setup
COPY --chown=affect4d:affect4d . .

ENV PATH=/project/.venv/bin:$PATH DO_NOT_TRACK=true MLFLOW_DISABLE_TELEMETRY=true NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics
CMD ["make", "run"]
