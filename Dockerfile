# The wrapper's images.
#
#   docker build --target wrapper .    /wrapper on distroless cc, for FROM and for COPY --from
#   docker build --target portable .   /wrapper/, the binary and its libraries, for any other image
#
# `--platform linux/amd64,linux/arm64` builds the images for both architectures, without running
# anything of the other architecture. The same sources and base images give the same files.

ARG DENO_VERSION=2.9.6
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BASE} AS base

FROM --platform=${BUILDPLATFORM} docker.io/denoland/deno:debian-${DENO_VERSION} AS sources
WORKDIR /source
COPY cli.ts mod.ts deno.json deno.lock ./
COPY hooks ./hooks
COPY src ./src
COPY types ./types
COPY scripts/compile.ts scripts/portable.ts ./scripts/
ARG TARGETARCH
RUN case ${TARGETARCH:-$(uname -m)} in \
      amd64 | x86_64) echo x86_64-unknown-linux-gnu ;; \
      arm64 | aarch64) echo aarch64-unknown-linux-gnu ;; \
      *) echo "no wrapper for ${TARGETARCH}" >&2; exit 1 ;; \
    esac >/target

FROM sources AS compiled
RUN deno run --frozen --allow-all scripts/compile.ts --target "$(cat /target)" --output /wrapper

FROM sources AS compiled-portable
RUN command -v patchelf || { apt-get update && apt-get install -y --no-install-recommends patchelf; }
# Distroless cc has exactly the libraries that the binary needs, for either architecture.
COPY --from=base /lib /libraries
RUN deno run --frozen --allow-all scripts/portable.ts --target "$(cat /target)" \
      --libraries /libraries --output /out/wrapper

FROM scratch AS portable
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=""
LABEL org.opencontainers.image.title="wrapper, portable" \
      org.opencontainers.image.description="Runs a Kubernetes Job's command, then tells the pod's sidecars to quit: a folder for any image" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=compiled-portable /out /
USER 65532:65532
ENTRYPOINT ["/wrapper/wrapper"]

FROM base AS wrapper
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=""
LABEL org.opencontainers.image.title="wrapper" \
      org.opencontainers.image.description="Runs a Kubernetes Job's command, then tells the pod's sidecars to quit" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=compiled /wrapper /wrapper
ENTRYPOINT ["/wrapper"]
