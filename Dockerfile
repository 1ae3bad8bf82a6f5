# docker build -t schedctl . && docker run -d --name schedctl -v schedctl:/var/lib/schedctl \
#     -v ./jobs.d:/etc/schedctl/jobs.d:ro --stop-timeout 45 schedctl
#
# Jobs run in the container: build yours FROM this image, with the programs that they need. README.md,
# "In a container", has the rest.

FROM debian:12 AS build
WORKDIR /src
COPY Makefile VERSION ./
COPY tests/tools/deps tests/tools/deps
RUN apt-get update && apt-get install -y --no-install-recommends make && make deps TEST_PACKAGES=
COPY completions completions
COPY include include
COPY src src
RUN make -j"$(nproc)" build/release/dist/schedctl && strip -o /schedctl build/release/dist/schedctl

FROM debian:12-slim
# Of libraries the program needs only libc; these are for HTTPS and for time zones.
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates libcurl4 tzdata && \
    rm -rf /var/lib/apt/lists/*
# The number is fixed, so that a volume belongs to the same user in every image.
RUN useradd --system --uid 970 --user-group --no-create-home --home-dir /var/lib/schedctl \
        --shell /usr/sbin/nologin schedctl && \
    install -d -o schedctl -g schedctl -m 0700 /var/lib/schedctl && \
    install -d -o schedctl -g schedctl -m 0755 /run/schedctl && \
    install -d -m 0755 /etc/schedctl/jobs.d && \
    printf '%s\n' '# Where "docker logs" finds it; etc/schedctl.env shows what variables set.' \
        'log_file = "-"' > /etc/schedctl/schedctl.toml
COPY --from=build /schedctl /usr/bin/schedctl
USER schedctl
# Jobs, history, output of runs, and the node's id: a new container on the same volume is the same node.
VOLUME /var/lib/schedctl
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD schedctl -q status || exit 1
# As process 1 it takes away orphans itself; SIGTERM lets running jobs end for stop_timeout (30 s), which
# is longer than docker waits unless it is told --stop-timeout.
ENTRYPOINT ["/usr/bin/schedctl", "start", "--foreground"]
