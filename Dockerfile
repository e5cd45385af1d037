# The first stage compiles, the last holds what runs; `--target gpu` is the same with the Vulkan loader, for --device webgpu.
# Nothing is written but /data (the adapter store, built bases, downloads) and /tmp: the root may be read-only. sbom.cdx.json
# lists every package that is inside.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
RUN npm run build:program
RUN npm prune --omit=dev && npm sbom --sbom-format=cyclonedx --omit=dev >sbom.cdx.json

FROM node:24-slim AS run
WORKDIR /app
ENV NODE_ENV=production MOSARA_HOST=0.0.0.0 MOSARA_PORT=8080 MOSARA_DATA=/data XDG_CACHE_HOME=/data/cache
# The C library gives back what it holds free; the engine's process has these of its own accord (docs/log/2026-11.md, on the soak test).
ENV MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=131072
COPY --from=build /app/package.json /app/sbom.cdx.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY models models
COPY adapters adapters
RUN mkdir /data && chown node:node /data
# The number of `node`: Kubernetes cannot tell from a name that a user is not root.
USER 1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["node", "-e", "require(process.env.MOSARA_TLS_CERT ? 'https' : 'http').get({ port: process.env.MOSARA_PORT, path: '/healthz', rejectUnauthorized: false }, (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
CMD ["node", "dist/mosara/main.js", "serve"]

# The driver of the card is the host's: NVIDIA's container toolkit brings it in, with its ICD file, where "graphics" is among the capabilities.
# That driver needs libXext and libEGL, which it does not bring in.
FROM run AS gpu
USER root
RUN apt-get update && apt-get install -y --no-install-recommends libvulkan1 libxext6 libegl1 && rm -rf /var/lib/apt/lists/*
USER 1000
ENV MOSARA_DEVICE=webgpu NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics

# What `docker build` makes where nothing is named.
FROM run
