# Slipway in a container.
#
#   docker build -t slipway .
#   docker run -d --name slipway \
#     --security-opt seccomp=unconfined \
#     --security-opt apparmor=unconfined \
#     --security-opt systempaths=unconfined \
#     -v slipway:/var/lib/slipway \
#     -p 2222:2222 -p 127.0.0.1:8080:8080 -p 8000:8000 slipway
#   docker exec -i slipway slipway user add alice -role admin -key - <~/.ssh/id_ed25519.pub
#
# Why the three options: the sandbox makes namespaces of its own (which Docker's seccomp and AppArmor
# profiles refuse) and mounts a /proc of its own (which the kernel refuses while the container's own
# /proc is partly masked, hence systempaths). No --privileged and no Docker socket is needed. The
# sandbox puts a seccomp filter of its own on everything that it runs.
#
# Memory, process and CPU limits need a cgroup folder that can be written, which Docker mounts
# read-only. Docker 28 and later make the container's own part writable (cgroup v2) with one more
# option: --security-opt writable-cgroups=true. The server says at start which limits are in force.
#
# The image has no toolchains. Build yours on top of it, for example:
#
#   FROM slipway
#   RUN apt-get update && apt-get install -y --no-install-recommends golang nodejs npm python3 make
#
# Apps run in the same container. They outlive a crash of the server process only as long as the
# container lives: when it is replaced, the server starts what was serving again. For upgrades that
# lose no request, install Slipway on the host (docs/operations.md).

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN make build VERSION="$VERSION"

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap ca-certificates git tini \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/bin/slipway /usr/local/bin/slipway
VOLUME /var/lib/slipway
EXPOSE 2222 8080 8000
# Keepers and instances are orphans by design; tini reaps them when they end.
ENTRYPOINT ["/usr/bin/tini", "--", "slipway"]
CMD ["serve", "-data", "/var/lib/slipway", "-ssh", ":2222", "-http", ":8080", "-proxy", ":8000"]
