import { defineConfig } from "vitest/config";

// Where functions/admin serves the page; the API is above it.
export const BASE = "/api/loyalty/v1/admin/";

export default defineConfig({
  base: BASE,
  build: {
    outDir: "../functions/admin/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the policy allows no data: addresses
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["index.html", "signed-in.html"] },
  },
  server: {
    proxy: {
      "^/api/loyalty/v1/(?!admin)": "http://127.0.0.1:8000",
      "^/api/loyalty/v1/admin/config.json": "http://127.0.0.1:8000",
    },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
