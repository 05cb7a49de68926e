# Two stages: one that compiles, one that runs, as nobody, with nothing but what a running server needs.
FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config python3 python3-dev python3-venv \
    libopus-dev libspandsp-dev libspeexdsp-dev libbcg729-dev libsndfile1-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY scripts scripts
COPY pbx pbx
# What a call goes through is compiled too, which takes some minutes; `--build-arg TANDEM_COMPILE=0` leaves it interpreted.
ARG TANDEM_COMPILE=1
RUN python3 -m venv /opt/tandem \
 && /opt/tandem/bin/pip install --no-cache-dir '.[postgresql]' \
 && /opt/tandem/bin/pip uninstall -y setuptools pip

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 ca-certificates tzdata \
    libopus0 libspandsp2 libspeexdsp1 libbcg729-0 libsndfile1 \
    asterisk-core-sounds-en-wav asterisk-core-sounds-en-g722 asterisk-moh-opsound-wav \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --home-dir /var/lib/tandem --shell /usr/sbin/nologin tandem
COPY --from=build /opt/tandem /opt/tandem
ENV PATH=/opt/tandem/bin:$PATH PYTHONUNBUFFERED=1
USER tandem
WORKDIR /var/lib/tandem
VOLUME /var/lib/tandem
EXPOSE 5060/udp 5060/tcp 5061/tcp 8080/tcp 20000-29999/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s CMD ["pbx", "status", "--quiet"]
# The embedded default is made in ./var at the first start. Mount your own, and name it to every command at once:
# docker run --env PBX_CONFIG=/etc/tandem/pbx.yaml --volume /etc/tandem:/etc/tandem:ro …
ENTRYPOINT ["pbx"]
CMD ["serve"]
