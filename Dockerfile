# On this Node SQLite comes ready-made (docs/decisions/0001): no compiler, no install script.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src src
RUN npx tsc && npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist/src dist/src
COPY migrations migrations
COPY deploy/health.mjs deploy/health.mjs
# Places for the mounts: the root file system is read-only at run time.
RUN mkdir -p /etc/mesh-sts/config /etc/mesh-sts/rules /etc/mesh-sts/keys /var/lib/mesh-sts \
    && chown node:node /var/lib/mesh-sts
USER 1000:1000
EXPOSE 8080 8081
HEALTHCHECK --interval=20s --timeout=5s --start-period=30s CMD ["node", "/app/deploy/health.mjs", "livez"]
# Small heaps: docs/decisions/0011.
ENTRYPOINT ["node", "--max-semi-space-size=4", "--max-old-space-size=768", "/app/dist/src/main.js"]
CMD ["serve", "--config", "/etc/mesh-sts/config/sts.yaml"]
