# nexus in a container: for CI that runs containers, and for machines without Python 3.11.
#
#   docker build -t nexus .
#   docker run --rm -it --user "$(id -u):$(id -g)" -v "$PWD:/project" -e E2B_API_KEY nexus plan
#
# That is all that E2B's cloud takes: no privileges, and nothing is kept in the container. The local engine makes machines,
# and what it makes them from has to be in the container, so it has an image of its own, which has to run with privileges and
# keeps what it has on a volume:
#
#   docker build -t nexus-local --target local .
#   docker run --rm -it --privileged -v nexus:/var/lib/nexus -v "$PWD:/project" nexus-local apply
#
# In the place of --privileged, without limits of memory and CPU for sandboxes:
#
#   --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE --security-opt seccomp=unconfined
#
# Its sandboxes live in the container, so they end with it. `nexus doctor` says in either image what it can do.

ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# The checkout belongs to another user, and git has to be told that it may be read: nexus notes the commit.
RUN git config --global --add safe.directory /source \
 && python3 -m venv /opt/nexus \
 && /opt/nexus/bin/pip install --no-cache-dir . \
 && /opt/nexus/bin/pip uninstall --yes pip

FROM ${BASE} AS runtime
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home nexus \
 && chmod 1777 /home/nexus \
 && install --directory --owner nexus --group nexus /project
COPY --from=build /opt/nexus /opt/nexus
# Whoever --user names has a home to write to.
ENV PATH=/opt/nexus/bin:$PATH HOME=/home/nexus
WORKDIR /project
USER 1000
ENTRYPOINT ["nexus"]
CMD ["--help"]

FROM runtime AS local
# Root of the container, so that root of a sandbox can be an unprivileged user of it.
# hadolint ignore=DL3002
USER 0
# Sandboxes have the programs of the container.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      build-essential curl jq libnss-myhostname nodejs npm procps python3-dev python3-pip python3-venv sudo unzip wget zip \
 && rm -rf /var/lib/apt/lists/* \
 && git config --system --add safe.directory '*'
ENV NEXUS_TARGET=local NEXUS_HOME=/var/lib/nexus
VOLUME /var/lib/nexus

FROM runtime AS nexus
