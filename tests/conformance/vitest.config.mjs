import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["*.test.mjs"],
    fileParallelism: false,
    // What takes longer hangs; a busy machine does not fail a test.
    testTimeout: 600000,
    hookTimeout: 600000,
  },
})
