import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["*.test.mjs"],
    fileParallelism: false,
    testTimeout: 30000,
    hookTimeout: 30000,
  },
})
