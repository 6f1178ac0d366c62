import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({
  baseUrl: process.env.URSULA_URL,
  longPollTimeoutMs: Number(process.env.URSULA_LONG_POLL_TIMEOUT_MS),
  subscriptions: false,
})
