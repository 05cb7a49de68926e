# Two stages: one that compiles, one that runs, as nobody, with nothing but what a running server needs.
FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config python3 python3-dev python3-venv \
    libopus-dev libspandsp-dev libspeexdsp-dev libbcg729-dev libsndfile1-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY pbx pbx
RUN python3 -m venv /opt/tandem && /opt/tandem/bin/pip install --no-cache-dir '.[postgresql]'

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 libopus0 libspandsp2 libspeexdsp1 libbcg729-0 libsndfile1 \
    asterisk-core-sounds-en-wav asterisk-core-sounds-en-g722 asterisk-moh-opsound-wav \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home --home-dir /var/lib/tandem tandem
COPY --from=build /opt/tandem /opt/tandem
ENV PATH=/opt/tandem/bin:$PATH PYTHONUNBUFFERED=1
USER tandem
WORKDIR /var/lib/tandem
VOLUME /var/lib/tandem
EXPOSE 5060/udp 5060/tcp 5061/tcp 8080/tcp 20000-29999/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["pbx", "status", "--quiet"]
# Without -c the embedded default is made in ./var at the first start. Mount your own and add: serve -c /etc/tandem/pbx.yaml
ENTRYPOINT ["pbx"]
CMD ["serve"]
