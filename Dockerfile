# Two stages: wheels are built where a compiler may be, and run where nothing but Python is.
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels ".[s3]"

FROM python:3.12-slim
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels "aimirror[s3]" \
    && groupadd --gid 10001 aimirror \
    && useradd --uid 10001 --gid aimirror --no-create-home --home-dir /data aimirror \
    && install -d -o aimirror -g root -m 0775 /data/fast_proxy /data/fast_proxy/cache
COPY docker-entrypoint.sh /usr/local/bin/
COPY config.yaml /app/config.yaml
# Where the configuration's `cache.dir: ""` leads to.
ENV CACHE_DIRECTORY=/data/fast_proxy/cache PYTHONUNBUFFERED=1
WORKDIR /app
VOLUME /data/fast_proxy/cache
EXPOSE 8081
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8081/health', timeout=4)"]
STOPSIGNAL SIGTERM
# The service runs as user 10001: the entry point gives root up once mounted folders are that user's.
# Any other user works, too, in the group root as OpenShift has it, or with folders of its own.
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["--config", "/app/config.yaml"]
